/** --hooks: functions that are called when something happens. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { fixture, Lookout, temporaryFolder, until } from './support/lookout.js'

/** A module of hooks of the test's own, which may write lines with `say`, and what was written. */
function hooks(source: string): { file: string; said(): string[] } {
  const folder = temporaryFolder()
  const file = path.join(folder, 'hooks.js')
  const log = path.join(folder, 'log')
  fs.writeFileSync(log, '')
  fs.writeFileSync(
    file,
    `const say = line => require('fs').appendFileSync(${JSON.stringify(log)}, line + '\\n')\n${source}`,
  )
  return { file, said: () => fs.readFileSync(log, 'utf8').split('\n').filter(Boolean) }
}

describe('hooks', () => {
  it('are called in order: onWorkerStart, onStart, onReload, onWorkerExit', async () => {
    const { file, said } = hooks(`
      exports.onStart = () => say('start ' + process.pid)
      exports.onReload = () => say('reload ' + process.pid)
      exports.onWorkerStart = pid => say('worker ' + pid)
      exports.onWorkerExit = (pid, status) => say('exit ' + pid + ' ' + status)`)
    const lookout = await Lookout.start(['--hooks', file, fixture('plain.js')])
    await request(lookout.url)
    const first = await until('a worker', () => lookout.workers[0])
    await until('both', () => said().length === 2)
    expect(said()).to.have.members([`worker ${first}`, `start ${first}`])
    lookout.signal('SIGUSR2')
    await until('gone', () => said().includes(`exit ${first} 0`))
    const second = lookout.workers[0]
    expect(said().slice(2)).to.deep.equal([`worker ${second}`, `start ${second}`, `reload ${first}`, `exit ${first} 0`])
    process.kill(second!, 'SIGKILL')
    await until('killed', () => said().includes(`exit ${second} 137`))
  })

  it('onError gets the exception and the request that it was about', async () => {
    const { file, said } = hooks(`exports.onError = (error, request) => say(error.message + ' at ' + request?.url)`)
    const app = path.join(temporaryFolder(), 'app.js')
    fs.writeFileSync(
      app,
      `require('node:http').createServer((request, response) => {
        if (request.url === '/') return response.end('fine')
        throw new Error('oh')
      }).listen(3000)`,
    )
    const lookout = await Lookout.start(['--hooks', file, app])
    await request(lookout.url)
    await request(lookout.url, '/boom').catch(() => {})
    await until('it', () => said().length === 1)
    expect(said()).to.deep.equal(['oh at /boom'])
    expect((await request(lookout.url)).body).to.equal('fine')
  })

  it('that throw, or reject, stop nothing', async () => {
    const { file } = hooks(`
      exports.onStart = () => { throw new Error('no start') }
      exports.onWorkerStart = async () => { throw new Error('no worker') }
      exports.onWorkerExit = () => { throw 'no exit' }`)
    const lookout = await Lookout.start(['--hooks', file, fixture('plain.js')])
    expect((await request(lookout.url)).body).to.equal('hello')
    await lookout.line(/^hook onStart pid \d+: failed: no start$/m)
    await lookout.line(/^hook onWorkerStart pid \d+: failed: no worker$/m)
    process.kill(lookout.workers[0]!, 'SIGKILL')
    await lookout.line(/^hook onWorkerExit pid \d+: failed: no exit$/m)
    expect((await request(lookout.url)).body).to.equal('hello')
  })

  for (const [what, source, said] of [
    [
      'there are not',
      'exports.onFoo = () => {}',
      /there is no hook onFoo, but onStart, onReload, onWorkerStart, onWorkerExit, onError/,
    ],
    ['are no functions', 'exports.onStart = 5', /onStart is not a function/],
    ['cannot be loaded', 'throw new Error("no hooks today")', /no hooks today/],
  ] as const) {
    it(`that ${what} are a failure to start, with the reason`, async () => {
      const lookout = await Lookout.start(['--hooks', hooks(source).file, fixture('plain.js')])
      const reply = await request(lookout.url)
      expect(reply.status).to.equal(503)
      expect(reply.body).to.match(said)
      await lookout.line(/^master \d+: cannot load --hooks: /m)
      expect(lookout.count(/wakes/)).to.equal(1)
    })
  }

  it('that are not there are misuse', async () => {
    const lookout = Lookout.spawn(['--hooks', '/nowhere/hooks.js', fixture('plain.js')])
    expect(await lookout.ended).to.deep.equal({ code: 2, signal: null })
    expect(lookout.stderr).to.equal('lookout: cannot use --hooks /nowhere/hooks.js: there is no such file\n')
  })
})
