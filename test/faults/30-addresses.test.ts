/** Addresses that are another's, or look as if nobody had them; and sockets that are given, and are none. */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { Activated, LIES, listening } from '../support/activated.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { failures, load } from '../support/load.js'
import { cleanups, fixture, Lookout, temporaryFolder, until } from '../support/lookout.js'

const APP = fixture('plain.js')

/** Starts one that is to be refused: how long that took, in ms. */
async function refused(address: string, complaint: RegExp): Promise<number> {
  const start = performance.now()
  const lookout = Lookout.spawn(['-l', address, APP])
  const { code } = await lookout.ended
  const took = performance.now() - start
  expect(code, lookout.stderr).to.equal(1)
  expect(lookout.stderr).to.match(complaint)
  expect(lookout.stderr.trimEnd().split('\n')).to.have.length(1)
  expect(took, address).to.be.below(1000)
  return took
}

/** How often a process was run: at rest it is not. */
function switches(pid: number): string {
  return /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))![1]!
}

describe('addresses', () => {
  fault(30, 'two lookouts, one address', 'the second is refused within 1 s, and the first not touched', async () => {
    const file = path.join(temporaryFolder(), 'app.sock')
    const first = await Lookout.start(['-l', 'localhost:0', '-l', file, APP])
    const addresses = [
      `localhost:${first.port}`,
      `127.0.0.1:${first.port}`,
      `[::1]:${first.port}`,
      `${first.port}`,
      file,
    ]
    const complaint = new RegExp(`^lookout: cannot bind .*: EADDRINUSE \\(another lookout, pid ${first.pid}\\)\n$`)
    const took: number[] = []
    let before = ''
    await until('it waits', async () => {
      const last = before
      before = switches(first.pid)
      await new Promise(resolve => setTimeout(resolve, 50))
      return before === last
    })
    for (const address of addresses) took.push(await refused(address, complaint))
    expect(switches(first.pid), 'it was not even run').to.equal(before)
    expect(first.count(/wakes/)).to.equal(0)

    const clients = load(first.url, { clients: 4, keepAlive: false })
    await until('requests', () => clients.counts.ok > 100)
    for (const address of addresses) took.push(await refused(address, complaint))
    const counts = await clients.stop()
    expect(failures(counts), clients.errors.join('\n')).to.equal(0)
    return `${took.length} of ${took.length} refused, after ${Math.round(Math.max(...took))} ms at most; at rest the first was not run, under load it lost 0 of ${counts.ok}`
  })

  fault(
    31,
    'what is at the path of a unix socket',
    'a stale one is replaced, once; all else is left as it is',
    async () => {
      const folder = temporaryFolder()
      const at = (name: string) => path.join(folder, name)
      const socket = at('app.sock')
      let replaced = 0
      for (const awake of [false, true]) {
        const killed = await Lookout.start(['-l', socket, APP])
        if (awake) await request(killed.url)
        killed.signal('SIGKILL')
        await killed.ended
        expect(fs.lstatSync(socket).isSocket(), 'left by the kill').to.equal(true)
        const all = Array.from({ length: 5 }, () => Lookout.spawn(['-l', socket, APP]))
        const rests = (one: Lookout) => one.line(/ rests at /).then(() => one)
        const results = await Promise.all(all.map(one => Promise.race([one.ended.then(() => undefined), rests(one)])))
        const winners = results.filter(one => one !== undefined)
        expect(winners).to.have.length(1)
        expect((await request(`unix:${socket}`)).body).to.equal('hello')
        await winners[0]!.stop()
        expect(fs.readdirSync(folder), 'nothing is left by who ends').to.deep.equal([])
        replaced++
      }

      const server = net.createServer(client => client.on('error', () => {}).end()).listen(at('live')) // who only asks is gone
      cleanups.push(() => void server.close())
      await until('it listens', () => server.listening)
      const stale = await Lookout.start(['-l', at('stale'), APP])
      stale.signal('SIGKILL')
      await stale.ended
      fs.writeFileSync(at('file'), 'precious')
      fs.mkdirSync(at('folder'))
      for (const target of ['file', 'folder', 'live', 'stale', 'nothing']) fs.symlinkSync(target, at(`link-${target}`))
      fs.mkdirSync(at('locks'))
      fs.symlinkSync(at('file'), at('locks/app.sock.lock')) // who may write there would have us write elsewhere
      const picture = () =>
        fs.readdirSync(folder).map(name => [name, fs.lstatSync(at(name)).ino, fs.lstatSync(at(name)).mtimeMs])
      const before = picture()
      const others: [string, RegExp][] = [
        ...['file', 'folder', 'link-file', 'link-folder', 'link-live', 'link-stale', 'link-nothing'].map(
          (name): [string, RegExp] => [name, /: it is there and is no socket\n$/],
        ),
        ['live', /: EADDRINUSE \(another process listens there\)\n$/],
        ['locks/app.sock', /: ELOOP\n$/],
      ]
      for (const [name, complaint] of others) await refused(at(name), complaint)
      expect(picture()).to.deep.equal(before)
      expect(fs.readFileSync(at('file'), 'utf8')).to.equal('precious')
      return `${replaced} of ${replaced} stale ones replaced, each by 1 of 5 that started at once; ${others.length} of ${others.length} others refused, and as they were`
    },
  )

  fault(32, 'LISTEN_FDS lies', 'exit 2 in one line, no abort; what is for another is not touched', async () => {
    for (const { what, give, complaint } of LIES) {
      const lookout = Activated.start(APP, await give())
      expect(await lookout.ended, what).to.equal(2)
      expect(lookout.stderr, what).to.match(complaint)
    }
    const { fd } = listening()
    const env = { LISTEN_PID: '1' }
    const lookout = Activated.start(APP, { fds: [fd], env, args: ['-l', 'localhost:0'] })
    const [, url] = await lookout.line(/rests at (\S+)/)
    expect((await request(url!)).body).to.equal('hello')
    return `${LIES.length} of ${LIES.length} refused; sockets that are for another process are left, and its own served`
  })
})
