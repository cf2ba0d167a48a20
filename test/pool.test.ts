/** The pool from outside: how many workers there are, what signals do to them, what is told of them, what clients are allowed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { BIN, cleanups, fixture, Lookout, MARK, temporaryFolder, until } from './support/lookout.js'

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

/** Its workers that are neither stopping nor booting, by what it says of them. */
async function workers(lookout: Lookout, file: string, count: number, deadline = 10_000): Promise<void> {
  const counted = () =>
    JSON.parse(fs.readFileSync(file, 'utf8')).workers.filter((worker: { state: string }) => worker.state === 'ready')
      .length
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
    const waiting = connect(lookout, GET)
    const later = performance.now() + 1500
    await until('no room', () => performance.now() > later)
    expect(lookout.workers.length, 'MAX').to.equal(4)
    for (const socket of sockets) socket.destroy()
    ;(await waiting).destroy()
    await workers(lookout, file, 1)
    expect((await request(lookout.url)).body).to.equal('hello')
  }).timeout(60_000)

  it('stays where it is with MIN and MAX alike', async () => {
    const lookout = await Lookout.start(['-w', '2:2', '--max-idle', '100ms', fixture('plain.js')])
    await request(lookout.url)
    await until('two', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    const later = performance.now() + 1500
    await until('a while', () => performance.now() > later)
    expect(lookout.workers.length).to.equal(2)
  })

  it('takes no more than --max-connections a worker; who waits is served in turn', async () => {
    const lookout = await Lookout.start(['--max-connections', '2', fixture('plain.js')])
    const held = [await connect(lookout, GET), await connect(lookout, GET)]
    const third = connect(lookout, GET)
    let served = false
    void third.then(() => {
      served = true
    })
    const later = performance.now() + 300
    await until('a while', () => performance.now() > later)
    expect(served).to.equal(false)
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
    const lookout = await Lookout.start(['-w', '2', '--idle', '300ms', fixture('plain.js')])
    const slow = request(lookout.url, '/slow?1000')
    await until('two', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    lookout.signal('SIGTSTP')
    await lookout.line(/is quiet: connections wait/)
    let answered = false
    const waiting = request(lookout.url).then(reply => {
      answered = true
      return reply
    })
    expect((await slow).body).to.equal('slow')
    const later = performance.now() + 800
    await until('a while', () => performance.now() > later)
    expect(answered).to.equal(false)
    lookout.signal('SIGCONT')
    expect((await waiting).body).to.equal('hello')
    expect(lookout.count(/wakes/)).to.equal(1)
    await lookout.rests()
  })

  it('TSTP by Ctrl-Z stops lookout, as a shell expects, until CONT', async () => {
    const log = path.join(temporaryFolder(), 'typescript')
    const command = `exec ${process.execPath} ${BIN} -l localhost:0 ${fixture('plain.js')}`
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
    let answered = false
    const waiting = request(url!).then(({ body }) => {
      answered = true
      return body
    })
    const later = performance.now() + 300
    await until('a while', () => performance.now() > later)
    expect(answered, 'the app is quiet').to.equal(false)
    terminal.kill('SIGCONT') // it stops with its child
    process.kill(Number(pid), 'SIGCONT')
    expect(await waiting).to.equal('hello')
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
    const read = () => JSON.parse(fs.readFileSync(file, 'utf8'))
    await request(lookout.url)
    const awake = await until('the file', () => read().workers[0].rss > 1e6 && read())
    expect(awake).to.include({ state: 'awake', master: lookout.master, wakes: 1, failures: 0, requests: 1 })
    expect(awake.why).to.match(/^rests in /)
    expect(awake.firstRequest.last).to.be.within(1, 10_000)
    expect(awake.workers[0]).to.include({ pid: lookout.workers[0], connections: 0, inFlight: 0, backlog: 0, status: 0 })
    expect(awake.workers[0].utilization).to.be.within(0, 1)
    expect(Date.parse(awake.workers[0].lastCheckin)).to.be.within(Date.now() - 5000, Date.now() + 1000)
    const slow = request(lookout.url, '/slow?3000')
    await until('busy', () => read().why === '1 request or connection in flight')
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
    const read = () => JSON.parse(fs.readFileSync(file, 'utf8'))
    await until('the file', () => read().bootError === 'the app failed to start: no way')
    fs.writeFileSync(
      app,
      `require(${JSON.stringify(path.join(__dirname, '../..'))}).hold('reindexing')
      require('node:http').createServer((_, response) => response.end()).listen(3000)`,
    )
    await request(lookout.url)
    await until('the hold', () => read().why === 'hold: reindexing')
  })

  it('that cannot be written is complained of once, and nothing else', async () => {
    const lookout = await Lookout.start(['--stats-file', '/proc/nowhere/stats.json', fixture('plain.js')])
    await request(lookout.url)
    await lookout.line(/cannot write \/proc\/nowhere\/stats.json: ENOENT/)
    const later = performance.now() + 1500
    await until('a while', () => performance.now() > later)
    expect(lookout.count(/cannot write/)).to.equal(1)
    expect((await request(lookout.url)).body).to.equal('hello')
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
