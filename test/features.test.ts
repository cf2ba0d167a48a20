/** What prefork servers have, feature by feature: each here, seen from outside. */
import fs from 'node:fs'
import module from 'node:module'
import type net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { Stats } from '../lib/stats.js'
import { type WorkerEvent, WorkerHandle } from '../lib/worker-handle.js'
import { request } from './support/client.js'
import { waiting } from './support/kernel.js'
import { failures, load } from './support/load.js'
import { childrenOf, cleanups, fixture, isAlive, Lookout, temporaryFolder, until } from './support/lookout.js'
import { connect, ECHO, freePort, Program } from './support/program.js'
import { quieted, readStats, rewritten } from './support/stats-file.js'
import { startChild } from './support/worker-child.js'

const APP = fixture('plain.js')

/** What a process has open beyond standard input, output and error. */
function open(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  const fds = fs.readdirSync(folder).filter(fd => Number(fd) > 2)
  return fds.map(fd => fs.readlinkSync(`${folder}/${fd}`).replace(/\[\d+\]/, ''))
}

/** Awake, with all its workers ready. */
async function awake(workers: number, ...options: string[]): Promise<Lookout> {
  const lookout = await Lookout.start(['-w', `${workers}`, ...options, APP])
  await request(lookout.url)
  await until('all ready', () => lookout.count(/worker \d+ pid \d+ ready/) === workers)
  return lookout
}

/** Awake, with a request in flight that takes so many ms. */
async function busy(ms: number, ...options: string[]): Promise<{ lookout: Lookout; slow: Promise<string> }> {
  const lookout = await Lookout.start([...options, fixture('stopping.js')])
  const slow = request(lookout.url, `/slow?${ms}`).then(
    ({ body }) => body,
    ({ code }) => code,
  )
  await until('in flight', () => lookout.stdout.includes('slow begins'))
  return { lookout, slow }
}

/** A Prefork that echoes, and its port. */
async function prefork(options: string): Promise<{ program: Program; port: number }> {
  const port = await freePort()
  const program = Program.start(`
    const prefork = new Prefork('127.0.0.1', ${port}, { ${options} })
    prefork.start(${ECHO}).then(() => say('over'))`)
  return { program, port }
}

const children = (program: Program, count: number) =>
  until(`${count} children`, () => program.children.length === count)

interface Served {
  /** Of the process that serves it. */
  pid: number
  socket: net.Socket
  closed: Promise<string>
  /** Our own port. */
  from(): number | undefined
  /** Sends it something, and waits for one line more. */
  ask(text: string): Promise<string>
}

/** Connected, and greeted by the process that serves it. */
async function served(port: number): Promise<Served> {
  const { socket, got, closed } = connect(port)
  let from: number | undefined
  socket.once('connect', () => {
    from = socket.localPort // nobody knows once it is closed
  })
  await until('a greeting, or the end', () => got().includes('\n') || socket.destroyed)
  if (got() === '') throw new Error('nobody has served it')
  const ask = (text: string) => {
    const before = got().length
    socket.write(text)
    return until(`an answer to ${text.trim()}`, () => /^.*(?=\n)/.exec(got().slice(before))?.[0])
  }
  return { pid: Number.parseInt(got(), 10), socket, closed, from: () => from, ask }
}

describe('features: resting', () => {
  it('Lean process holds only the listener', async () => {
    const lookout = await Lookout.start([APP])
    const own = open(lookout.pid).filter(name => name !== 'pipe:') // whatever has started the tests may have left one
    const [known, ...rest] = own.sort((one, other) => Number(/\/\d+$/.test(other)) - Number(/\/\d+$/.test(one)))
    expect(known, 'by which commands find it').to.match(new RegExp(`/lookout/${lookout.pid}$`))
    expect(rest).to.have.members(['/memfd:lookout (deleted)', 'socket:', 'socket:', 'anon_inode:[signalfd]'])
    expect(fs.readFileSync(`/proc/${lookout.pid}/maps`, 'latin1')).not.to.include('node')
  })

  it('Master started on first connection', async () => {
    const lookout = await Lookout.start([APP])
    expect(lookout.master).to.equal(undefined)
    await request(lookout.url)
    expect(lookout.master).to.be.a('number')
  })

  it('Wait for master exit, loop back to lean; Master idle timeout', async () => {
    const lookout = await Lookout.start(['--idle', '300ms', APP])
    for (const turn of [1, 2]) {
      await request(lookout.url)
      await lookout.rests()
      await until('it says so', () => lookout.count(/ends: idle 300 ms/) === turn)
    }
  })

  it('INT/QUIT forwarded, then exit', async () => {
    for (const [signal, code] of [
      ['SIGINT', 0],
      ['SIGQUIT', 131],
    ] as const) {
      const lookout = await awake(2)
      const pids = [lookout.master!, ...lookout.workers]
      lookout.signal(signal)
      expect(await lookout.ended).to.deep.equal({ code, signal: null })
      await until('all gone', () => !pids.some(isAlive))
    }
  })
})

describe('features: statistics', () => {
  it('Shared-memory stats allocated before forking, fixed slot per worker', async () => {
    const lookout = await awake(2)
    await until('both serve', () => lookout.count(/ready/) === 2)
    const memory = (pid: number, access: string) =>
      fs
        .readFileSync(`/proc/${pid}/maps`, 'utf8')
        .split('\n')
        .filter(line => line.includes('/memfd:lookout-stats') && line.includes(` ${access} `))
        .map(line => line.split(/\s+/)[4])
        .sort()
    const all = memory(lookout.master!, 'rw-s')
    expect(all).to.have.length(2)
    for (const pid of lookout.workers) {
      const [own, ...more] = memory(pid, 'rw-s')
      expect(more).to.deep.equal([])
      expect(all).to.include(own)
      await until('its peer', () => memory(pid, 'r--s').length === 1)
      expect([own, ...memory(pid, 'r--s')].sort()).to.deep.equal(all)
    }
  })

  it('pid, requests, backlog, started_at, last_checkin, booted', async () => {
    const lookout = await awake(1)
    lookout.signal('SIGUSR1')
    const [worker] = JSON.parse((await lookout.line(/(\{.*\})/))[1]!).workers
    expect(worker).to.include({ pid: lookout.workers[0], requests: 1, backlog: 0, booted: true })
    expect(Date.parse(worker.startedAt)).to.be.at.most(Date.parse(worker.lastCheckin))
  })

  it('Stats write(index, ...), all, unmap', () => {
    const stats = new Stats(2)
    stats.write(1, { pid: 9, requests: 4 })
    expect(stats.all()).to.have.length(1)
    expect(stats.all()[0]).to.include({ index: 1, pid: 9, requests: 4 })
    stats.unmap()
    expect(() => stats.all()).to.throw('unmapped')
  })

  it('JSON stats file rewritten every second; stats-log signal', async () => {
    const file = path.join(temporaryFolder(), 'stats')
    const lookout = await awake(1, '--stats-file', file)
    await until('the file', () => fs.existsSync(file))
    await rewritten(file, 2, 5000)
    expect(readStats(file)).to.include({ state: 'awake' })
    lookout.signal('SIGUSR1')
    await lookout.line(/^master \d+: \{"name":"plain.js"/m)
  })

  it('Pidfile, stats file, deleted at exit', async () => {
    const folder = temporaryFolder()
    const lookout = await awake(1, '--stats-file', path.join(folder, 'stats'), '--pid-file', path.join(folder, 'pid'))
    await until('both', () => fs.existsSync(path.join(folder, 'stats')))
    expect(fs.readdirSync(folder)).to.include.members(['stats', 'pid']) // and what the next is being written to
    await lookout.stop()
    expect(fs.readdirSync(folder)).to.deep.equal([])
  })
})

describe('features: workers', () => {
  it('Fixed worker count; Auto-respawn of dead workers', async () => {
    const lookout = await awake(3)
    const before = lookout.workers
    expect(before).to.have.length(3)
    process.kill(before[1]!, 'SIGKILL')
    await until('three again', () => lookout.workers.length === 3 && !lookout.workers.includes(before[1]!))
  })

  it('Multiple binds', async () => {
    const file = path.join(temporaryFolder(), 'socket')
    const lookout = await Lookout.start(['-l', '127.0.0.1:0', '-l', file, fixture('kinds/two.js')])
    expect(lookout.addresses).to.have.length(2)
    expect(lookout.addresses[1]).to.equal(`unix:${file}`)
    expect((await request(lookout.addresses[0]!)).body).to.equal('first')
    expect((await request(lookout.addresses[1]!)).body).to.equal('second')
  })

  it('Client timeouts', async () => {
    const lookout = await Lookout.start(['--first-data-timeout', '1s', '--no-defer-accept', APP])
    expect(await connect(lookout.port).closed, 'who sends nothing').to.equal('')
  })

  it('on_error hook', async () => {
    const port = await freePort()
    const program = Program.start(`
      new Prefork(${port}, { minProcesses: 1, onError: error => console.error(error.message) }).start(async () => { throw new Error('oh') })`)
    await children(program, 1)
    await until('it', async () => (await connect(port).closed) === '' && program.stderr.includes('oh\n'))
  })

  // Node cannot be forked once it runs: workers load the app themselves, from code that the first one has compiled.
  if ('flushCompileCache' in module) {
    it('Preload app in the master', async () => {
      const home = temporaryFolder()
      const lookout = await Lookout.start(['-w', '2', fixture('kinds/express.js')], { env: { XDG_CACHE_HOME: home } })
      await request(lookout.url)
      await until('compiled code', () => fs.readdirSync(home, { recursive: true }).length > 10)
    })
  }

  it('INT/TERM graceful', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const { lookout, slow } = await busy(300)
      lookout.signal(signal)
      expect(await slow).to.equal('slow')
      expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
    }
  })

  it('Phased restart', async () => {
    const lookout = await awake(2)
    const before = lookout.workers
    const clients = load(lookout.url, { clients: 4, keepAlive: true })
    lookout.signal('SIGUSR2')
    await lookout.line(/restarted 2 workers/)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    await until('others', () => !lookout.workers.some(pid => before.includes(pid)))
  })

  it('Backpressured accept', async () => {
    const { port } = await prefork('minProcesses: 1, maxProcesses: 1, standbyThreads: 0')
    const first = await until('it listens', () => served(port))
    const second = connect(port)
    await until('it waits', () => waiting(port) === 1)
    for (const text of ['one\n', 'two\n']) expect(await first.ask(text)).to.equal(text.trim()) // it has had turns to take it
    expect(second.got()).to.equal('')
    expect(waiting(port)).to.equal(1)
    first.socket.destroy()
    await until('its turn', () => second.got() !== '')
  })
})

describe('features: Prefork', () => {
  it('Constructor: port / host+port / socket / [sockets]', async () => {
    const ports = [await freePort(), await freePort()]
    const program = Program.start(`
      const parent = process.ppid === ${process.pid}
      const server = () => { const one = require('node:net').createServer(); if (parent) one.listen(0, '127.0.0.1'); return one }
      const [one, two, three] = [server(), server(), server()]
      setTimeout(() => {
        if (parent) say('ports ' + [one, two, three].map(server => server.address().port).join(' '))
        const small = { minProcesses: 1, standbyThreads: 0 }
        for (const prefork of [new Prefork(${ports[0]}, small), new Prefork('127.0.0.1', ${ports[1]}, small), new Prefork(one, small), new Prefork([two, three], small)])
          prefork.start(${ECHO})
      }, 100)`)
    const more = (await program.line(/^ports (.*)$/m))[1]!.split(' ').map(Number)
    for (const port of [...ports, ...more]) {
      const { pid, socket } = await until(`${port}`, () => served(port))
      expect(childrenOf(program.child.pid!)).to.include(pid)
      socket.destroy()
    }
  })

  it('min_processes 5, max_processes 20, standby_threads 5 (spare capacity), max_threads 1', async () => {
    const { program, port } = await prefork('')
    await children(program, 5)
    const connections = Array.from({ length: 20 }, () => connect(port))
    await children(program, 20)
    await until('all served', () => connections.every(({ got }) => got() !== ''))
    expect(new Set(connections.map(({ got }) => got())).size).to.equal(20)
  }).timeout(40_000)

  it('listen_backlog', async () => {
    const { program, port } = await prefork('minProcesses: 1, maxProcesses: 1, standbyThreads: 0, listenBacklog: 2')
    const first = await until('it listens', () => served(port))
    for (let count = 0; count < 8; count++) connect(port)
    await until('the queue is full', () => waiting(port) === 3) // the kernel takes one more than it is told
    expect(program.children).to.have.length(1)
    first.socket.destroy()
  })

  it('max_idle 10 per child (only after first use, never mid-connection)', async () => {
    const { program, port } = await prefork('minProcesses: 1, maxProcesses: 4, standbyThreads: 0, maxIdle: 1')
    const first = await until('it listens', () => served(port))
    const second = await served(port)
    await children(program, 2)
    first.socket.destroy()
    await until('the idle one is gone', () => !isAlive(first.pid), 15_000).catch(async error => {
      throw new Error(
        `${error.message} ${first.pid} ${second.pid} ${await program.tell('prefork.stats().then(JSON.stringify)')}`,
      )
    })
    expect(isAlive(second.pid), 'it has a connection').to.equal(true)
    second.socket.destroy()
    await children(program, 1)
  }).timeout(40_000)

  it('max_use 1000 connections', async () => {
    const { program, port } = await prefork('minProcesses: 1, maxProcesses: 2, standbyThreads: 0, maxUse: 5')
    const { pid, socket } = await until('it listens', () => served(port))
    socket.destroy()
    await until('replaced', async () => {
      const next = await served(port)
      next.socket.destroy()
      return next.pid !== pid
    })
    await until('gone', () => !isAlive(pid))
    expect(program.children.length).to.be.within(1, 2)
  })

  it('Draining children excluded from min/max', async () => {
    const { program, port } = await prefork('minProcesses: 1, maxProcesses: 1, standbyThreads: 0')
    const held = await until('it listens', () => served(port))
    program.child.stdin!.write('prefork.reload({ maxUse: 7 })\n')
    const next = await until('another, beside it', () => served(port))
    expect(next.pid).not.to.equal(held.pid)
    expect(program.children).to.include.members([held.pid, next.pid])
  })

  it('watchdog_timer 600, then KILL 60 s later; watchdog_signal TERM', async () => {
    const port = await freePort()
    const program = Program.start(`
      new Prefork(${port}, { minProcesses: 2, standbyThreads: 0, watchdogTimer: 1 }).start(async socket => {
        socket.write(process.pid + '\\n')
        await new Promise(setImmediate)
        while (true);
      })`)
    const { pid } = await until('it listens', () => served(port))
    await until('TERM has ended it', () => !isAlive(pid))
    await until('it says why', () => /hangs: its event loop has not turned for 1 s/.test(program.stderr))
    await until('two', () => program.children.length >= 2)
  })

  it('on_start, on_reload (child), on_child_start, on_child_exit(pid, status) (parent)', async () => {
    const log = path.join(temporaryFolder(), 'log')
    const module = path.join(path.dirname(log), 'hooks.js')
    fs.writeFileSync(
      module,
      `const say = text => require('node:fs').appendFileSync(${JSON.stringify(log)}, text + '\\n')
      module.exports = { onStart: () => say('start'), onReload: () => say('reload'), onWorkerStart: () => say('child start'), onWorkerExit: (pid, status) => say('child exit ' + status) }`,
    )
    const lookout = await awake(1, '--hooks', module)
    lookout.signal('SIGUSR2')
    const said = () => fs.readFileSync(log, 'utf8').trim().split('\n')
    await until('all', () => said().includes('child exit 0'))
    expect(said().sort()).to.deep.equal(['child exit 0', 'child start', 'child start', 'reload', 'start', 'start'])
  })

  it('start{sock, addr, child}; live reload of options or socket; stop (drain), stop!', async () => {
    const port = await freePort()
    const program = Program.start(`
      const prefork = new Prefork(${port}, { minProcesses: 1, standbyThreads: 0 })
      prefork.start(async (socket, address, child) => { socket.write([address.port, child.pid, child.id].join(' ') + '\\n') }).then(() => say('over'))`)
    const { closed, from } = await until('it listens', () => served(port))
    expect(await closed).to.match(new RegExp(`^${from()} \\d+ 0\\n$`))
    const other = await freePort()
    expect(await program.tell(`prefork.reload(${other})`)).to.equal('done undefined')
    expect(await connect(other).closed).to.match(/^\d+ \d+ \d+\n$/)
    expect(await program.tell('prefork.stop()')).to.equal('done undefined')
    await program.line(/^over$/m)
    const { program: second, port: last } = await prefork('minProcesses: 1')
    const held = await until('it listens', () => served(last))
    expect(await second.tell('prefork.stopNow()')).to.equal('done undefined')
    await held.closed
  })

  it('detach_children: stop accepting, finish, leave', async () => {
    const { program, port } = await prefork('minProcesses: 1, standbyThreads: 0')
    const { pid, socket, closed, ask } = await until('it listens', () => served(port))
    program.child.stdin!.write('prefork.detachChildren().then(() => process.exit())\n')
    await until('the program is gone', () => !isAlive(program.child.pid!))
    expect(await ask('still here\n')).to.equal('still here')
    socket.write('bye')
    await closed
    await until('gone', () => !isAlive(pid))
  })
})

describe('features: the node, from both sides', () => {
  let stats: Stats
  let worker: WorkerHandle
  let events: WorkerEvent['type'][]

  /** A child that says what it is told to say on its channel, and lives until it is killed. */
  beforeEach(() => {
    stats = new Stats(4)
    events = []
    const { pid, channel } = startChild(
      `require('node:fs').writeSync(3, '{"type":"ready","served":[0]}\\n'); setInterval(() => {}, 1000)`,
    )
    worker = new WorkerHandle(2, pid, channel, stats.slot(2), 0, ({ type }) => events.push(type))
    cleanups.push(async () => {
      worker.terminate()
      await until('reaped', () => !worker.alive)
      stats.unmap()
    })
  })

  it('Node id, pid, alive?, cleanup, healthy, unhealthy(code), status (-1, 0, highest code)', async () => {
    expect(worker.id).to.equal(2)
    expect(isAlive(worker.pid)).to.equal(true)
    expect(worker.alive).to.equal(true)
    expect(worker.status, 'it has not said').to.equal(-1)
    stats.write(2, { lastCheckin: 5, status: 0 })
    expect(worker.status).to.equal(0)
    stats.write(2, { status: 3 })
    expect(worker.status).to.equal(3)
    const before = fs.readdirSync('/proc/self/fd').length
    worker.terminate()
    await until('ended', () => events.includes('ended'))
    expect(worker.alive).to.equal(false)
    expect(fs.readdirSync('/proc/self/fd').length, 'its descriptors are closed').to.equal(before - 2)
  })

  it('healthy, unhealthy(code): the highest counts, until it is well again', async () => {
    const lookout = await Lookout.start(['--stats-file', path.join(temporaryFolder(), 'stats'), fixture('health.js')])
    await request(lookout.url, '/unhealthy?2,9,4')
    await lookout.line(/is replaced: it says that it is unhealthy: 9/)
  })

  it('orphaned?; quiet (TSTP), signal -> bool on ESRCH, stop TERM, terminate KILL', async () => {
    await until('ready', () => events.includes('ready'))
    expect(worker.signal(0)).to.equal(true)
    worker.stop({ grace: 100, patience: 0, final: false, cut: false }) // it does not obey
    await until('killed', () => events.includes('ended'))
    expect(worker.signal(0), 'ESRCH').to.equal(false)

    const file = path.join(temporaryFolder(), 'stats')
    const lookout = await awake(1, '--stats-file', file)
    lookout.signal('SIGTSTP')
    await quieted(file, 1)
    const next = request(lookout.url)
    await until('it waits', () => waiting(lookout.port) === 1)
    lookout.signal('SIGCONT')
    expect((await next).body).to.equal('hello')
    lookout.signal('SIGTSTP')
    await quieted(file, 1)
    const [master, pid] = [lookout.master!, lookout.workers[0]!]
    process.kill(master, 'SIGKILL')
    await until('no orphan', () => !isAlive(pid), 1000)
    lookout.signal('SIGCONT')

    const { program, port } = await prefork('minProcesses: 1, standbyThreads: 0')
    const child = await until('it listens', () => served(port))
    expect(await child.ask('orphaned')).to.equal('false')
    program.child.stdin!.write('prefork.detachChildren().then(() => process.exit())\n')
    await until('the program is gone', () => !isAlive(program.child.pid!))
    await until('it knows', async () => (await child.ask('orphaned')) === 'true')
    child.socket.write('bye')
    await until('gone', () => !isAlive(child.pid))
  })

  it('start: fresh pipe, rebuilt resources, immediate healthy report', async () => {
    const lookout = await awake(1)
    const channel = (pid: number) => fs.readlinkSync(`/proc/${pid}/fd/5`)
    const [first] = lookout.workers
    const before = channel(first!)
    process.kill(first!, 'SIGKILL')
    await until('another', () => lookout.count(/worker \d+ pid \d+ ready/) === 2)
    expect(channel(lookout.workers[0]!)).not.to.equal(before)
    lookout.signal('SIGUSR1')
    const [worker] = JSON.parse((await lookout.line(/(\{.*\})/))[1]!).workers
    expect(worker).to.include({ status: 0, booted: true, requests: 0 })
    expect(worker.lastCheckin).to.be.a('string')
  })

  it('Supervision: check, report, restart delay, shutdown', async () => {
    const lookout = await awake(1)
    for (const crash of [1, 2]) {
      const [pid] = lookout.workers
      process.kill(pid!, 'SIGKILL')
      await until('again', async () => {
        await request(lookout.url) // while nothing works, the next try waits for somebody to ask
        return lookout.count(/worker \d+ pid \d+ ready/) === crash + 1
      })
    }
    const times = lookout.stderr.match(/was killed by signal 9 after (\d+) ms/g)
    expect(times, lookout.stderr).to.have.length(2)
    const { lookout: other, slow } = await busy(20_000, '--grace', '500ms')
    const start = performance.now()
    await other.stop()
    expect(performance.now() - start, 'ms').to.be.within(400, 3000)
    expect(await slow).to.equal('ECONNRESET')
  })
})
