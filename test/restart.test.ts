/** Phased restarts: USR2, and `lookout restart`, which waits for the end of one. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { expect } from 'chai'
import { request } from './support/client.js'
import { descriptorsOf, slotsOf, waiting } from './support/kernel.js'
import { failures, load } from './support/load.js'
import { BIN, fixture, isAlive, Lookout, temporaryFolder, until } from './support/lookout.js'

interface Result {
  code: number
  stdout: string
  stderr: string
}

/** `lookout restart`, to its end. */
function restart(target: number | string): Promise<Result> {
  return new Promise(resolve => {
    execFile(process.execPath, [BIN, 'restart', `${target}`], (error, stdout, stderr) =>
      resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr }),
    )
  })
}

/** An app of the test's own, which answers with a text, after some ms. */
function app(text: string, ms = 0): { file: string; become(source: string): void } {
  const file = path.join(temporaryFolder(), 'app.js')
  const become = (source: string) => fs.writeFileSync(file, source)
  become(serving(text, ms))
  return { file, become }
}

function serving(text: string, ms = 0): string {
  const answer = `response.end(${JSON.stringify(text)})`
  return `require('node:http').createServer((request, response) => ${ms ? `setTimeout(() => ${answer}, ${ms})` : answer}).listen(3000)`
}

async function awake(file: string, workers: number, options: string[] = []): Promise<Lookout> {
  const lookout = await Lookout.start(['-w', `${workers}`, ...options, file])
  await request(lookout.url)
  await until('all ready', () => lookout.count(/worker \d+ pid \d+ ready/) === workers)
  return lookout
}

describe('a phased restart', () => {
  for (const keepAlive of [true, false]) {
    it(`loses nothing under load, twenty times with 4 workers${keepAlive ? ', with keep-alive' : ''}`, async () => {
      const { file } = app('here', 1)
      const lookout = await awake(file, 4)
      const clients = load(lookout.url, { clients: 16, keepAlive, right: ({ body }) => body === 'here' })
      for (let turn = 1; turn <= 20; turn++) {
        const before = clients.counts.ok
        expect(await restart(lookout.pid)).to.deep.equal({ code: 0, stdout: 'restarted 4 workers\n', stderr: '' })
        await until('requests', () => clients.counts.ok >= before + 1000)
      }
      const counts = await clients.stop()
      expect(failures(counts), `${JSON.stringify(counts)} ${clients.errors}`).to.equal(0)
      expect(counts.ok).to.be.at.least(20_000)
    }).timeout(120_000)
  }

  it('loads the code anew, and lets the old workers go', async () => {
    const { file, become } = app('old')
    const lookout = await awake(file, 2)
    const before = lookout.workers
    become(serving('new'))
    expect((await request(lookout.url)).body).to.equal('old')
    expect((await restart(lookout.pid)).code).to.equal(0)
    await until('the old ones gone', () => !before.some(isAlive)) // a moment later than it is said
    for (let turn = 0; turn < 20; turn++) expect((await request(lookout.url)).body).to.equal('new')
    expect(lookout.workers.length).to.equal(2)
  })

  it('leaves nothing open: descriptors and memory are as many after the eighth as after the first', async () => {
    const { file } = app('here')
    const lookout = await awake(file, 3)
    const restarted = async () => {
      const before = lookout.workers
      expect((await restart(lookout.pid)).code).to.equal(0)
      await until('the old ones gone', () => !before.some(isAlive) && lookout.workers.length === 3)
    }
    /** What has been opened of ours, and mapped. */
    const open = () => ({ fds: descriptorsOf(lookout.master!).length, slots: slotsOf(lookout.master!) })
    await restarted()
    await until('nothing of the old ones', () => open().slots === 3)
    const before = open()
    for (let turn = 2; turn <= 8; turn++) await restarted()
    await until('nothing of the old ones', () => open().slots === 3)
    expect(open()).to.deep.equal(before)
    // A worker that has met those that are gone has at most as many slots as there were at once.
    for (const pid of lookout.workers) expect(slotsOf(pid)).to.be.within(3, 6)
  })

  it('onto a broken app ends also where workers are missing, which are tried again and again', async () => {
    const { file, become } = app('old')
    const lookout = await awake(file, 4)
    become('throw new Error("not today")')
    for (const worker of lookout.workers.slice(1)) process.kill(worker, 'SIGKILL')
    await until('several tries', () => lookout.count(/before it listened/) >= 3)
    const { code, stderr } = await restart(lookout.pid)
    expect(code).to.equal(1)
    expect(stderr).to.match(/not today; 0 of 1 workers were restarted/)
    expect((await request(lookout.url)).body).to.equal('old')
  })

  it('onto a broken app fails, says why, and loses nothing', async () => {
    const { file, become } = app('old')
    const lookout = await awake(file, 2)
    const before = lookout.workers
    const clients = load(lookout.url, { clients: 4, keepAlive: true, right: ({ body }) => body === 'old' })
    become('throw new Error("not today")')
    const result = await restart(lookout.pid)
    expect(result.code).to.equal(1)
    expect(result.stderr).to.match(
      /^lookout: cannot restart \d+: the app failed to start at app\.js:1: not today; 0 of 2 workers were restarted, the others are as they were\n$/,
    )
    expect(lookout.workers).to.deep.equal(before)
    become(serving('old'))
    expect((await restart(lookout.pid)).code).to.equal(0)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
  })

  it('onto one that never listens fails after --boot-timeout', async () => {
    const { file, become } = app('old')
    const lookout = await awake(file, 1, ['--boot-timeout', '1s'])
    become('setInterval(() => {}, 1000)')
    expect((await restart(lookout.pid)).stderr).to.match(/the app failed to start: It did not listen within 1 s\./)
    expect((await request(lookout.url)).body).to.equal('old')
  })

  it('leaves a slow request to the worker that has it', async () => {
    const lookout = await awake(fixture('plain.js'), 1)
    const slow = request(lookout.url, '/slow?1500')
    const [first] = lookout.workers
    await until('in flight', async () => (await request(lookout.url)).status === 200)
    expect((await restart(lookout.pid)).code).to.equal(0)
    expect(isAlive(first!)).to.equal(true)
    expect((await slow).body).to.equal('slow')
    await until('gone', () => !isAlive(first!))
  })

  it('leaves a TLS handshake that has begun to the worker that has it', async () => {
    const lookout = await Lookout.start(['--no-defer-accept', '-l', '127.0.0.1:0', fixture('https-slow.js')])
    const socket = net.connect(lookout.port, '127.0.0.1')
    await until('ready', () => lookout.count(/worker \d+ pid \d+ ready/) === 1)
    const [first] = lookout.workers
    await until('accepted', () => waiting(lookout.port) === 0) // it is what has woken it
    lookout.signal('SIGUSR2') // at once: a handshake has a second to begin
    await lookout.line(/restarted 1 worker$/m)
    expect(isAlive(first!)).to.equal(true)
    const secure = tls.connect({ socket, rejectUnauthorized: false })
    secure.write('GET /?100 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const [answer] = await once(secure, 'data')
    expect(answer.toString()).to.match(/^HTTP\/1\.1 200 /)
    secure.destroy()
    await until('gone', () => !isAlive(first!))
  })

  it('of an app that fails is another try at once', async () => {
    const { file, become } = app('old')
    become('throw new Error("not today")')
    const lookout = await Lookout.start([file])
    expect((await request(lookout.url)).status).to.equal(503)
    expect((await restart(lookout.pid)).stderr).to.match(/not today/)
    become(serving('mended'))
    expect(await restart(lookout.pid)).to.include({ code: 0, stdout: 'the app, which had failed, is ready\n' })
    expect((await request(lookout.url)).body).to.equal('mended')
  })

  it('asked for twice, comes twice: neither waits for code that was loaded before', async () => {
    const { file } = app('old')
    const lookout = await awake(file, 2)
    const results = await Promise.all([restart(lookout.pid), restart(lookout.pid)])
    expect(results.map(({ code }) => code)).to.deep.equal([0, 0])
    await lookout.line(/restarted 2 workers$/m)
    expect(lookout.count(/restarted 2 workers/)).to.be.at.most(2)
  })
})

describe('lookout restart', () => {
  it('has nothing to do at rest, and nothing is woken', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    expect(await restart(lookout.pid)).to.include({ code: 0, stdout: 'it rests: the next connection loads it anew\n' })
    expect(lookout.count(/wakes/)).to.equal(0)
  })

  it('goes by a pid file, too', async () => {
    const file = path.join(temporaryFolder(), 'pid')
    const lookout = await awake(fixture('plain.js'), 1, ['--pid-file', file])
    expect(await restart(file)).to.include({ code: 0, stdout: 'restarted 1 worker\n' })
    expect(lookout.count(/restarts$/)).to.equal(1)
  })

  it('signals nobody but a lookout', async () => {
    const folder = temporaryFolder()
    fs.writeFileSync(path.join(folder, 'text'), 'hello')
    const cases: [string | number, RegExp][] = [
      [process.pid, /^lookout: cannot restart \d+: there is no lookout with pid \d+\n$/],
      [1, /^lookout: cannot restart 1: there is no lookout with pid 1\n$/],
      [4_194_304, /there is no lookout with pid 4194304\n$/],
      [0, /there is no lookout with pid 0\n$/],
      ['', /usage|cannot restart/],
      [
        path.join(folder, 'missing'),
        /it is the name of no app that is held, no pid, and no file that can be read \(ENOENT\)\n$/,
      ],
      [path.join(folder, 'text'), /there is no pid in it\n$/],
      ['--now', /^lookout: usage: lookout restart NAME\|PID\|PIDFILE\n$/],
    ]
    for (const [target, said] of cases) {
      const { code, stdout, stderr } = await restart(target)
      expect({ code, stdout }, stderr).to.deep.equal({ code: 2, stdout: '' })
      expect(stderr).to.match(said)
    }
  })

  it('says what it does with --help', async () => {
    const { code, stdout, stderr } = await restart('--help')
    expect([code, stderr]).to.deep.equal([0, ''])
    expect(stdout).to.match(/^Usage: lookout restart NAME\|PID\|PIDFILE\n/)
  })
})

describe('a restart that is interrupted', () => {
  it('by the death of the master ends, and the next one works', async () => {
    const { file } = app('here')
    const lookout = await awake(file, 2)
    const first = restart(lookout.pid)
    await lookout.line(/restarts$/m)
    process.kill(lookout.master!, 'SIGKILL')
    expect((await first).code).to.equal(0)
    await lookout.line(/killed by signal 9/)
    await request(lookout.url)
    await until('ready', () => lookout.workers.length === 2)
    expect(await restart(lookout.pid)).to.include({ code: 0, stdout: 'restarted 2 workers\n' })
  })

  it('by TTOU keeps the worker that serves', async () => {
    const { file, become } = app('here')
    const lookout = await awake(file, 1)
    const [first] = lookout.workers
    become('setTimeout(() => { throw new Error("late") }, 500)')
    const result = restart(lookout.pid)
    await lookout.line(/restarts$/m)
    lookout.signal('SIGTTOU')
    await lookout.line(/wants 1 worker$/m)
    expect((await result).stderr).to.match(/late; 0 of 1 workers were restarted/)
    expect(lookout.workers).to.deep.equal([first])
    expect((await request(lookout.url)).body).to.equal('here')
  })
})
