/** The pool from outside: how many workers there are, what signals do to them, what is told of them, what clients are allowed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { waiting } from './support/kernel.js'
import { BIN, cleanups, fixture, Lookout, MARK, temporaryFolder, until } from './support/lookout.js'
import { quieted, readStats, rewritten } from './support/stats-file.js'

/** A connection to it, open, with a request that has been answered where it sends one. */
function connect(lookout: Lookout, sends = ''): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(lookout.port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      if (sends === '') resolve(socket)
      else socket.write(sends)
    })
    socket.once('data', () => resolve(socket))
  })
}

const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n'

/** Another request on a connection that has had its answer, to the end of this one's. */
async function again(socket: net.Socket): Promise<void> {
  socket.write(GET)
  await once(socket, 'data')
}

/** Its workers that are neither stopping nor booting, by what it says of them. */
async function workers(lookout: Lookout, file: string, count: number, deadline = 10_000): Promise<void> {
  const counted = () => readStats(file).workers.filter(({ state }) => state === 'ready').length
  await until(`${count} workers`, () => counted() === count, deadline).catch(error => {
    throw new Error(`${error.message}; there are ${counted()}; it said:\n${lookout.stderr}`)
  })
}

describe('a pool of MIN to MAX', () => {
  it('follows the load up and down, and keeps --standby free where it may', async () => {
    const file = path.join(temporaryFolder(), 'stats.json')
    const pool = [
      '-w',
      '1:4',
      '--max-connections',
      '2',
      '--standby',
      '1',
      '--max-idle',
      '1s',
      '--keep-alive-timeout',
      '60s',
    ]
    const lookout = await Lookout.start([...pool, '--stats-file', file, '--no-defer-accept', fixture('plain.js')])
    const sockets: net.Socket[] = []
    for (const [connections, expected] of [
      [1, 1],
      [2, 2],
      [3, 2],
      [4, 3],
      [6, 4],
      [8, 4],
    ] as const) {
      while (sockets.length < connections) sockets.push(await connect(lookout, GET))
      await workers(lookout, file, expected)
    }
    const ninth = connect(lookout, GET)
    await until('no room', () => waiting(lookout.port) === 1)
    await rewritten(file, 2) // ten looks at who waits
    expect(lookout.workers.length, 'MAX').to.equal(4)
    expect(waiting(lookout.port)).to.equal(1)
    for (const socket of sockets) socket.destroy()
    ;(await ninth).destroy()
    await workers(lookout, file, 1)
    expect((await request(lookout.url)).body).to.equal('hello')
  }).timeout(60_000)

  it('stays where it is with MIN and MAX alike', async () => {
    const file = path.join(temporaryFolder(), 'stats.json')
    const lookout = await Lookout.start(['-w', '2:2', '--max-idle', '100ms', '--stats-file', file, fixture('plain.js')])
    await request(lookout.url)
    await until('two', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    const { workers } = lookout
    await rewritten(file, 2)
    expect(lookout.workers).to.deep.equal(workers)
  })

  it('takes no more than --max-connections a worker; who waits is served in turn', async () => {
    const lookout = await Lookout.start(['--max-connections', '2', fixture('plain.js')])
    const held = [await connect(lookout, GET), await connect(lookout, GET)]
    const third = connect(lookout, GET)
    let served = false
    void third.then(() => {
      served = true
    })
    await until('it waits', () => waiting(lookout.port) === 1)
    for (let turn = 0; turn < 3; turn++) await again(held[1]!) // the worker has had turns to take it
    expect(served).to.equal(false)
    expect(waiting(lookout.port)).to.equal(1)
    held[0]!.destroy()
    await third
    held[1]!.destroy()
    ;(await third).destroy()
  })
})

describe('signals to the pool', () => {
  it('TTIN and TTOU: one worker more, one fewer, never none', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    await request(lookout.url)
    const [first] = lookout.workers
    lookout.signal('SIGTTIN')
    await until('two', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    lookout.signal('SIGTTOU')
    await until('one', () => lookout.workers.length === 1)
    expect(lookout.workers, 'the youngest goes').to.deep.equal([first])
    lookout.signal('SIGTTOU')
    await until('it says so', () => lookout.count(/wants 1 worker$/) === 2)
    expect(lookout.workers).to.deep.equal([first])
  })

  it('TSTP: nobody is accepted until CONT, what is served goes on, and it does not rest', async () => {
    const file = path.join(temporaryFolder(), 'stats.json')
    const lookout = await Lookout.start(['-w', '2', '--idle', '300ms', '--stats-file', file, fixture('stopping.js')])
    const slow = request(lookout.url, '/slow?2000')
    await until('in flight', () => lookout.stdout.includes('slow begins'))
    await until('two', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    lookout.signal('SIGTSTP')
    await lookout.line(/is quiet: connections wait/)
    await quieted(file, 2)
    expect((await slow).body).to.equal('slow')
    await rewritten(file, 2) // for longer than --idle, and nobody waits
    expect(readStats(file).why).to.equal('it is quiet until SIGCONT')
    let answered = false
    const next = request(lookout.url).then(reply => {
      answered = true
      return reply
    })
    await until('it waits', () => waiting(lookout.port) === 1)
    await rewritten(file, 1)
    expect(answered).to.equal(false)
    expect(waiting(lookout.port)).to.equal(1)
    lookout.signal('SIGCONT')
    expect((await next).body).to.equal('hello')
    expect(lookout.count(/wakes/)).to.equal(1)
    await lookout.rests()
  })

  it('TSTP by Ctrl-Z stops lookout, as a shell expects, until CONT', async () => {
    const folder = temporaryFolder()
    const log = path.join(folder, 'typescript')
    const file = path.join(folder, 'stats.json')
    const command = `exec ${process.execPath} ${BIN} -l localhost:0 --stats-file ${file} ${fixture('plain.js')}`
    const [name, value] = MARK.split('=') as [string, string]
    const terminal = spawn('script', ['-qfc', command, log], {
      env: { ...process.env, [name]: value },
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    const said = () => fs.readFileSync(log, 'utf8')
    const [, pid, url] = await until('it rests', () => /lookout (\d+): .* rests at (\S+?),?\s/.exec(said()))
    cleanups.push(async () => {
      process.kill(Number(pid), 'SIGKILL')
      terminal.kill('SIGKILL')
      await once(terminal, 'close')
    })
    await request(url!)
    terminal.stdin.write('\x1a')
    await until('stopped', () => /^State:\s+T/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')))
    await quieted(file, 1)
    let answered = false
    const next = request(url!).then(({ body }) => {
      answered = true
      return body
    })
    const { port } = new URL(url!)
    await until('it waits', () => waiting(Number(port)) === 1)
    await rewritten(file, 1)
    expect(answered, 'the app is quiet').to.equal(false)
    expect(waiting(Number(port))).to.equal(1)
    terminal.kill('SIGCONT') // it stops with its child
    process.kill(Number(pid), 'SIGCONT')
    expect(await next).to.equal('hello')
  })

  it('USR1: the statistics on stderr, in one line of JSON', async () => {
    const lookout = await Lookout.start(['--name', 'shop', fixture('plain.js')])
    await request(lookout.url)
    lookout.signal('SIGUSR1')
    const [, json] = await lookout.line(/^master \d+: (\{.*\})$/m)
    const stats = JSON.parse(json!)
    expect(stats).to.include({
      name: 'shop',
      master: lookout.master,
      state: 'awake',
      wakes: 1,
      requests: 1,
    })
    expect(stats.workers[0]).to.include({
      id: 0,
      pid: lookout.workers[0],
      state: 'ready',
      booted: true,
      requests: 1,
      accepted: 1,
    })
  })
})

describe('--stats-file', () => {
  it('tells every second how the app is, why it rests, and what it has been; removed at the end', async () => {
    const file = path.join(temporaryFolder(), 'stats.json')
    const lookout = await Lookout.start(['--idle', '3s', '--stats-file', file, fixture('plain.js')])
    const read = () => readStats(file)
    await request(lookout.url)
    const awake = await until('the file', () => [read()].find(({ workers }) => workers[0]!.rss > 1e6))
    expect(awake).to.include({ state: 'awake', master: lookout.master, wakes: 1, failures: 0, requests: 1 })
    expect(awake.why).to.match(/^rests in /)
    expect(awake.firstRequest!.last).to.be.within(1, 10_000)
    const [worker] = awake.workers
    expect(worker).to.include({ pid: lookout.workers[0], connections: 0, inFlight: 0, backlog: 0, status: 0 })
    expect(worker!.utilization).to.be.within(0, 1)
    expect(Date.parse(worker!.lastCheckin!)).to.be.within(Date.now() - 5000, Date.now() + 1000)
    const slow = request(lookout.url, '/slow?3000')
    await until('busy', () => read().why === '1 request in flight')
    await slow
    await lookout.rests()
    await lookout.line(/rests$/m)
    expect(read()).to.include({ state: 'rests', why: 'idle 3 s', wakes: 1, requests: 2 })
    expect(read()).to.not.have.property('master')
    await request(lookout.url)
    await until('awake', () => read().state === 'awake')
    expect(read()).to.include({ wakes: 2, requests: 3 })
    process.kill(lookout.master!, 'SIGKILL')
    await lookout.line(/killed by signal 9/)
    await request(lookout.url)
    await until('awake', () => read().wakes === 3)
    expect(read().failures).to.equal(1)
    await lookout.stop()
    expect(fs.readdirSync(path.dirname(file))).to.deep.equal([])
  })

  it('tells why the app failed to start, and what holds it awake', async () => {
    const folder = temporaryFolder()
    const app = path.join(folder, 'app.js')
    fs.writeFileSync(app, 'throw new Error("no way")')
    const file = path.join(folder, 'stats.json')
    const lookout = await Lookout.start(['--stats-file', file, app])
    await request(lookout.url)
    await until('the file', () => readStats(file).bootError === 'the app failed to start at app.js:1: no way')
    fs.writeFileSync(
      app,
      `require(${JSON.stringify(path.join(__dirname, '../..'))}).hold('reindexing')
      require('node:http').createServer((_, response) => response.end()).listen(3000)`,
    )
    await request(lookout.url)
    await until('the hold', () => readStats(file).why === 'hold: reindexing')
  })

  it('that cannot be written is complained of once, and nothing else', async () => {
    const folder = temporaryFolder()
    const file = path.join(folder, 'stats.json')
    fs.mkdirSync(file)
    // Each try makes a file beside it, and takes it away.
    let changes = 0
    const watcher = fs.watch(folder, type => {
      if (type === 'rename') changes++
    })
    cleanups.push(() => watcher.close())
    const lookout = await Lookout.start(['--stats-file', file, fixture('plain.js')])
    await request(lookout.url)
    await lookout.line(/cannot write .*stats\.json: EISDIR/)
    await until('a second try', () => changes >= 4)
    expect((await request(lookout.url)).body).to.equal('hello')
    expect(lookout.count(/cannot write/)).to.equal(1)
  })
})

describe('--pid-file', () => {
  it('has the pid that stays, and goes with it', async () => {
    const file = path.join(temporaryFolder(), 'pid')
    const lookout = await Lookout.start(['--pid-file', file, fixture('plain.js')])
    expect(fs.readFileSync(file, 'utf8')).to.equal(`${lookout.pid}\n`)
    await lookout.stop()
    expect(fs.existsSync(file)).to.equal(false)
  })

  it('of a killed one is replaced, of a living one refused, and anything else left alone', async () => {
    const file = path.join(temporaryFolder(), 'pid')
    const first = await Lookout.start(['--pid-file', file, fixture('plain.js')])
    const second = Lookout.spawn(['-l', 'localhost:0', '--pid-file', file, fixture('plain.js')])
    expect(await second.ended).to.deep.equal({ code: 1, signal: null })
    expect(second.stderr).to.equal(`lookout: cannot write ${file}: another lookout, pid ${first.pid}, has it\n`)
    first.signal('SIGKILL')
    await first.ended
    expect(fs.readFileSync(file, 'utf8')).to.equal(`${first.pid}\n`)
    const third = await Lookout.start(['--pid-file', file, fixture('plain.js')])
    expect(fs.readFileSync(file, 'utf8')).to.equal(`${third.pid}\n`)
    await third.stop()
    fs.writeFileSync(file, 'precious')
    const fourth = Lookout.spawn(['-l', 'localhost:0', '--pid-file', file, fixture('plain.js')])
    expect(await fourth.ended).to.deep.equal({ code: 1, signal: null })
    expect(fourth.stderr).to.equal(`lookout: cannot write ${file}: it is there and is no pid file\n`)
    expect(fs.readFileSync(file, 'utf8')).to.equal('precious')
  })
})

describe('timeouts', () => {
  /** What it sends until the server ends it, and after how long that is. */
  async function ending(lookout: Lookout, sends: string): Promise<{ text: string; ms: number }> {
    const socket = await connect(lookout)
    const start = performance.now()
    let text = ''
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk
    })
    socket.on('error', () => {})
    if (sends !== '') socket.write(sends)
    await new Promise(resolve => socket.once('close', resolve))
    return { text, ms: performance.now() - start }
  }

  for (const [what, option, sends, said] of [
    ['the first byte', '--first-data-timeout', '', /^$/],
    ['the head', '--header-timeout', 'GET / HTTP/1.1\r\n', /^HTTP\/1.1 408 /],
    [
      'the body',
      '--request-timeout',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx',
      /408 |^HTTP\/1.1 200 /,
    ],
    ['another request', '--keep-alive-timeout', GET, /^HTTP\/1.1 200 /],
  ] as const) {
    it(`end who does not send ${what} in time`, async () => {
      const options = [option, '1s', '--no-defer-accept', '--idle', '30s']
      if (option === '--request-timeout') options.push('--header-timeout', '1s')
      const lookout = await Lookout.start([...options, fixture('plain.js')])
      const { text, ms } = await ending(lookout, sends)
      expect(text).to.match(said)
      expect(ms).to.be.within(900, 6000)
      expect((await request(lookout.url)).body, 'others are served').to.equal('hello')
    })
  }
})

describe('bad options of the pool', () => {
  for (const [args, said] of [
    [['-w', '3:2'], 'cannot use --workers: MIN is at most MAX, and 3 is above 2'],
    [['-w', '0:2'], 'cannot use --workers: a whole number from 1 to 128 is wanted, not "0"'],
    [['-w', '1:2:3'], 'cannot use --workers: N, auto or MIN:MAX is wanted, not "1:2:3"'],
    [
      ['-w', '1:4', '--max-connections', '2', '--standby', '9'],
      'cannot keep room for --standby 9: 4 workers of 2 connections have room for 8',
    ],
    [['-w', '1:4', '--standby', '5'], 'cannot keep room for --standby 5: 4 workers have room for 4'],
    [['--max-rss', 'lots'], 'cannot use --max-rss: a size is 512M, 1G or a number of bytes, not "lots"'],
    [
      ['--watchdog-signal', 'NOPE'],
      'cannot use --watchdog-signal: a signal is TERM, ABRT or another\'s name, not "NOPE"',
    ],
    [['--pid-file', ''], 'cannot use --pid-file: a file is wanted'],
  ] as const) {
    it(args.join(' '), async () => {
      const lookout = Lookout.spawn([...args, fixture('plain.js')])
      expect(await lookout.ended).to.deep.equal({ code: 2, signal: null })
      expect(lookout.stderr).to.equal(`lookout: ${said}\n`)
    })
  }
})
