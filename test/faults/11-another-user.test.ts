import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { Folder } from '../support/folder.js'
import { isAlive, Lookout, until } from '../support/lookout.js'
import { notRoot, skipWithout } from '../support/missing.js'
import { nobody, openFolder, readable } from '../support/nobody.js'

/** Serves once, and then hangs for good. */
const HANGS = `require('node:http').createServer((request, response) => {
  response.end('hello')
  if (request.url === '/hang') setTimeout(() => { for (;;); }, 10)
}).listen(3000)`

describe('another user', () => {
  fault(11, 'the master is killed, its worker hangs, and both have dropped root', 'gone within 1 s', async function () {
    skipWithout(this, notRoot())
    const folder = openFolder()
    fs.writeFileSync(path.join(folder, 'app.js'), HANGS)
    const took: number[] = []
    const lookout = await Lookout.start(['--user', 'nobody', path.join(folder, 'app.js')], { bin: readable() })
    for (let round = 0; round < 5; round++) {
      await request(lookout.url, '/hang')
      const { master, workers } = lookout
      const worker = workers[0]!
      await until('it hangs', () => /^\d+ \(.*\) R/.test(fs.readFileSync(`/proc/${worker}/stat`, 'utf8')))
      const killed = performance.now()
      process.kill(master!, 'SIGKILL')
      await until('gone', () => !isAlive(worker))
      took.push(performance.now() - killed)
    }
    const longest = Math.max(...took)
    expect(longest, 'ms').to.be.below(1000)
    return `5 of 5, the longest after ${Math.ceil(longest)} ms, as uid ${nobody().uid}`
  })

  fault(34, 'another user tries to control it', 'denied', async function () {
    skipWithout(this, notRoot())
    const folder = await Folder.make()
    fs.chmodSync(folder.path, 0o755)
    folder.configure({ shop: { script: 'app.js', user: 'nobody' } })
    const bin = readable()
    const lookout = await folder.up({}, { bin })
    await request(folder.url('shop'))
    const { master } = folder.app('shop')
    // Another than the app's own user, who may do with its processes what it likes.
    const as = (...words: string[]) =>
      spawnSync('setpriv', ['--reuid', 'daemon', '--regid', 'daemon', '--clear-groups', ...words], {
        encoding: 'utf8',
        env: { ...process.env, ...folder.env },
      })
    const lookouts = (...args: string[]) => as(process.execPath, bin, ...args)
    const commands = [
      ...['status', 'rest', 'wake', 'restart'].map(command => lookouts(command, 'shop')),
      lookouts('stop', `${lookout.pid}`),
    ]
    for (const { status, stderr } of commands)
      expect(`${status},${stderr}`).to.match(/^2,lookout: .*(there is no|it is the name of no app)/)
    const file = `${folder.runtime}/lookout/shop.${lookout.pid}`
    const connect = `import socket; socket.socket(socket.AF_UNIX).connect('${file}')`
    const others = [
      as('kill', '-TERM', `${lookout.pid}`),
      as('kill', '-TERM', `${master}`),
      as('ls', path.join(folder.runtime, 'lookout')),
      as('cat', `/proc/${lookout.pid}/environ`),
      as('ls', `/proc/${master}/fd`),
      as('python3', '-c', connect),
    ]
    for (const { status, stderr } of others) {
      expect(status, stderr).not.to.equal(0)
      expect(stderr).to.match(/not permitted|denied/i)
    }
    const ways = commands.length + others.length
    expect(folder.app('shop')).to.include({ state: 'awake', master })
    expect(isAlive(lookout.pid)).to.equal(true)
    return `${ways} of ${ways} ways: commands, signals, files of /proc, the socket for connections`
  })
})
