/** Cluster and Prefork, in programs of their own. */
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { failures, load } from './support/load.js'
import { cleanups, fixture, isAlive, ROOT, temporaryFolder, until } from './support/lookout.js'
import { connect, ECHO, freePort, Program } from './support/program.js'

describe('Cluster', () => {
  const app = (name: string) => JSON.stringify(fixture(name))

  it('runs an app in workers until TERM, which lets them finish', async () => {
    const program = Program.start(`
      const cluster = new Cluster({ app: ${app('stopping.js')}, listen: 'localhost:0', workers: 2, quiet: true })
      cluster.start().then(urls => say('at ' + urls))
      cluster.run().then(() => { say('over'); process.exit() })`)
    const url = (await program.line(/^at (.*)$/m))[1]!
    await until('two', () => program.children.length === 2)
    const slow = request(url, '/slow?500')
    await program.line(/slow begins/)
    program.child.kill('SIGTERM')
    expect((await slow).body).to.equal('slow')
    await program.line(/^over$/m)
    expect(await program.ended).to.deep.equal({ code: 0, signal: null })
    expect(program.stderr).to.equal('')
  })

  it('tells its statistics, and restarts its workers without a failure', async () => {
    const program = Program.start(`
      const cluster = new Cluster({ app: ${app('plain.js')}, listen: 'localhost:0', workers: 2, quiet: true })
      cluster.start().then(urls => say('at ' + urls))`)
    const url = (await program.line(/^at (.*)$/m))[1]!
    await until('two', () => program.children.length === 2)
    const before = program.children
    const clients = load(url, { clients: 4, keepAlive: true })
    expect(await program.tell('cluster.restart()')).to.equal('done restarted 2 workers')
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    await until('the old ones gone', () => !before.some(isAlive), 15_000)
    const stats = await until('the old ones reaped', async () => {
      const told = JSON.parse((await program.tell('JSON.stringify(cluster.stats())')).replace('done ', ''))
      return told.workers.length === 2 ? told : undefined
    })
    expect(stats).to.include({
      name: 'plain.js',
      state: 'awake',
      master: program.child.pid,
      restart: 'restarted 2 workers',
    })
    expect(stats.requests).to.be.at.least(clients.counts.ok)
    expect(stats.workers.map(({ pid }: { pid: number }) => pid)).to.have.members(program.children)
    expect(await program.tell('cluster.stop()')).to.equal('done undefined')
    expect(program.children).to.deep.equal([])
  })

  it('calls the hooks of its options', async () => {
    const program = Program.start(`
      const cluster = new Cluster({ app: ${app('plain.js')}, listen: 'localhost:0', quiet: true,
        onWorkerStart: pid => say('started ' + pid), onWorkerExit: (pid, status) => say('ended ' + pid + ' ' + status) })
      cluster.start().then(urls => say('at ' + urls))`)
    await program.line(/^at /m)
    const [pid] = program.children
    expect(program.stdout).to.include(`started ${pid}\n`)
    process.kill(pid!, 'SIGKILL')
    await program.line(new RegExp(`^ended ${pid} 137$`, 'm'))
    await until('another', () => program.children.length === 1)
  })

  it('refuses what cannot be, and an app that does not start, with the reason', async () => {
    const program = Program.start('')
    const start = (options: string) =>
      program.tell(`new Cluster({ app: ${app('plain.js')}, listen: 'localhost:0', quiet: true, ${options} }).start()`)
    expect(await start("workers: '3:2'")).to.equal('failed cannot use workers: MIN is at most MAX, and 3 is above 2')
    expect(await start('grace: -1')).to.equal('failed cannot use grace: a time is 30, 30s, 500ms, 5m or 1h, not "-1ms"')
    expect(await start('colour: 1')).to.equal('failed there is no option colour')
    expect(await start("onWorkerStart: 'now'")).to.equal('failed Cluster: onWorkerStart is not a function')
    expect(await start("app: '/nowhere/app.js'")).to.match(/^failed cannot .*\/nowhere\/app.js/)
    const broken = path.join(temporaryFolder(), 'broken.js')
    fs.writeFileSync(broken, 'throw new Error("not today")')
    expect(await start(`app: ${JSON.stringify(broken)}`)).to.match(
      /^failed cannot start broken.js: the app failed to start at broken\.js:1: not today$/,
    )
    const taken = net.createServer().listen(0, '127.0.0.1')
    cleanups.push(() => void taken.close())
    await until('it listens', () => taken.listening)
    const { port } = taken.address() as net.AddressInfo
    expect(await start(`listen: '127.0.0.1:${port}'`)).to.match(/^failed cannot bind 127.0.0.1:\d+: EADDRINUSE/)
    expect(program.children).to.deep.equal([])
  })

  it('leaves nobody when its program is killed', async () => {
    const program = Program.start(`
      new Cluster({ app: ${app('plain.js')}, listen: 'localhost:0', workers: 3, quiet: true }).start().then(() => say('up'))`)
    await program.line(/^up$/m)
    await until('three', () => program.children.length === 3)
    const { children } = program
    program.child.kill('SIGKILL')
    await until('gone', () => !children.some(isAlive), 1000)
  })
})

/** Why one cannot connect; undefined where one can. */
function refusal(port: number): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    socket.on('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
  })
}

describe('Prefork', () => {
  async function echo(options: string, socket = ''): Promise<{ program: Program; port: number }> {
    const port = await freePort()
    const program = Program.start(`
      const prefork = new Prefork(${socket || `'127.0.0.1', ${port}`}, { ${options} })
      prefork.start(${ECHO}).then(() => say('over'), error => say('failed ' + error.message))`)
    return { program, port }
  }

  const children = (program: Program, count: number) =>
    until(`${count} children`, () => program.children.length === count).catch(error => {
      throw new Error(
        `${error.message}, but ${program.children.length}; it said:\n${program.stdout}\n${program.stderr}`,
      )
    })

  it('has five processes, one connection each, and starts more for those that come', async () => {
    const { program, port } = await echo('')
    await children(program, 5)
    const first = connect(port)
    await until('an answer', () => /^\d+\n$/.test(first.got()))
    await children(program, 6) // room for five more
    const others = Array.from({ length: 30 }, () => connect(port))
    await children(program, 20)
    await until('twenty are served', () => [first, ...others].filter(({ got }) => got() !== '').length === 20)
    const pids = [first, ...others].map(({ got }) => got()).filter(Boolean)
    expect(new Set(pids).size, 'one connection a process').to.equal(20)
    for (const { socket } of [first, ...others]) socket.destroy()
    await until(
      'nobody is served',
      async () => !/"connections":[1-9]/.test(await program.tell('prefork.stats().then(JSON.stringify)')),
    )
  }).timeout(40_000)

  it('shrinks after maxIdle, but not below minProcesses, and replaces who has served maxUse', async () => {
    const { program, port } = await echo('minProcesses: 2, maxProcesses: 6, standbyThreads: 1, maxIdle: 1, maxUse: 3')
    await children(program, 2)
    const held = Array.from({ length: 5 }, () => connect(port))
    await children(program, 6)
    for (const { socket } of held) socket.destroy()
    await children(program, 2)
    const seen = new Set<string>()
    await until('a fresh one', async () => {
      const { socket, closed } = connect(port)
      socket.write('bye')
      seen.add(await closed)
      return seen.size > 3
    })
  }).timeout(40_000)

  it('gives the handler the address of the client, and ends the connection after it', async () => {
    const port = await freePort()
    const program = Program.start(`
      new Prefork(${port}, { minProcesses: 1 }).start(async (socket, { address, port }) => { socket.write(address + ' ' + port) })`)
    await children(program, 1)
    const { socket, closed } = await until('it listens', async () => {
      const one = connect(port)
      return (await one.closed) === '' ? undefined : one
    })
    expect(await closed).to.match(/^(::ffff:)?127\.0\.0\.1 \d+$/)
    expect(socket.destroyed).to.equal(true)
  })

  it('takes a path, and removes it at the end', async () => {
    const file = path.join(temporaryFolder(), 'socket')
    const { program } = await echo('minProcesses: 1, standbyThreads: 0', JSON.stringify(file))
    const answer = await until('it listens', () => {
      const { socket, closed } = connect(file)
      socket.write('bye')
      return closed
    })
    expect(answer).to.match(/^\d+\n$/)
    expect(await program.tell('prefork.stop()')).to.equal('done undefined')
    expect(fs.readdirSync(path.dirname(file))).to.deep.equal([])
  })

  it('takes over servers that listen, and descriptors, several at a time', async () => {
    const program = Program.start(`
      const net = require('node:net')
      const servers = [net.createServer(), net.createServer()]
      const parent = process.ppid === ${process.pid} // only there do they listen
      Promise.all(servers.map(server => parent && new Promise(done => server.listen(0, '127.0.0.1', done)))).then(() => {
        if (parent) say('ports ' + servers.map(server => server.address().port).join(' '))
        const sockets = parent ? [servers[0], { fd: servers[1]._handle.fd }] : []
        new Prefork(sockets, { minProcesses: 1, standbyThreads: 0 }).start(${ECHO})
      })`)
    const ports = (await program.line(/^ports (\d+) (\d+)$/m)).slice(1).map(Number)
    for (const port of ports.slice(0, 1)) {
      const { socket, closed } = connect(port)
      socket.write('bye')
      expect(await closed).to.match(/^\d+\n$/)
    }
  })

  it('reloads options and socket while connections go on', async () => {
    const { program, port } = await echo('minProcesses: 2, standbyThreads: 0')
    await children(program, 2)
    const before = program.children
    const held = connect(port)
    await until('an answer', () => held.got() !== '')
    const other = await freePort()
    expect(await program.tell(`prefork.reload(${other}, { minProcesses: 3 })`)).to.equal('done undefined')
    await until('the idle one is gone', () => before.filter(isAlive).length === 1)
    held.socket.write('still here')
    await until('an echo', () => held.got().endsWith('still here'))
    const fresh = connect(other)
    await until('an answer', () => fresh.got() !== '')
    expect(before).not.to.include(Number(fresh.got()))
    expect(await refusal(port)).to.equal('ECONNREFUSED')
    held.socket.destroy()
    await children(program, 3)
  })

  it('stop() waits for every connection, stopNow() for none', async () => {
    const { program, port } = await echo('minProcesses: 1')
    await children(program, 1)
    const held = connect(port)
    await until('an answer', () => held.got() !== '')
    program.child.stdin!.write('prefork.stop()\n')
    await until('refused', async () => (await refusal(port)) === 'ECONNREFUSED' && program.children.length === 1)
    held.socket.write('still here')
    await until('an echo', () => held.got().endsWith('still here'))
    held.socket.write('bye')
    await program.line(/^over$/m)
    expect(program.children).to.deep.equal([])

    const second = await echo('minProcesses: 1')
    await children(second.program, 1)
    const cut = connect(second.port)
    await until('an answer', () => cut.got() !== '')
    expect(await second.program.tell('prefork.stopNow()')).to.equal('done undefined')
    await cut.closed
    expect(second.program.children).to.deep.equal([])
  })

  it('detachChildren() lets them serve what they have, after the program has ended', async () => {
    const { program, port } = await echo('minProcesses: 2, standbyThreads: 0')
    await children(program, 2)
    const held = connect(port)
    await until('an answer', () => held.got() !== '')
    const child = Number(held.got())
    program.child.stdin!.write('prefork.detachChildren().then(() => process.exit())\n')
    await once(program.child, 'exit') // its output is the children's, too
    held.socket.write('still here')
    await until('an echo', () => held.got().endsWith('still here'))
    expect(isAlive(child)).to.equal(true)
    held.socket.write('bye')
    await until('gone', () => !isAlive(child))
  })

  it('gives what a handler throws to onError, and serves on', async () => {
    const port = await freePort()
    const program = Program.start(`
      new Prefork(${port}, { minProcesses: 1, standbyThreads: 0, onError: error => console.error('heard ' + error.message) })
        .start(async socket => { throw new Error('oh') })`)
    await children(program, 1)
    await until('heard', async () => {
      await connect(port).closed
      return /^heard oh$/m.test(program.stderr)
    })
    expect(await connect(port).closed).to.equal('')
  })

  it('refuses what cannot be', async () => {
    const { program } = await echo('minProcesses: 3, maxProcesses: 2')
    await program.line(/^failed cannot use workers: MIN is at most MAX, and 3 is above 2$/m)
    const other = await echo('maxThreads: 0')
    await other.program.line(/^failed cannot use maxThreads: a number from 1 is wanted, not 0$/m)
    const third = await echo('', '{ fd: 0 }')
    await third.program.line(/^failed cannot use a socket that does not listen$/m)
  })
})

describe('the examples', () => {
  it('prefork: greets who says a name', async () => {
    const port = await freePort()
    const program = Program.run([path.join(ROOT, 'dist/examples/prefork/hello.js'), `${port}`])
    const { socket, got, closed } = await until('it listens', async () => {
      const one = connect(port)
      await until('an answer or the end', () => one.got() !== '' || one.socket.destroyed)
      return one.got() === '' ? undefined : one
    })
    expect(got()).to.equal('What is your name? ')
    socket.write('Ada\n')
    expect(await closed).to.match(/Hello, Ada at (::ffff:)?127\.0\.0\.1\. This is process \d+\.\n$/)
    program.child.kill('SIGTERM')
    expect(await program.ended).to.deep.equal({ code: 0, signal: null })
  })
})

describe('the library, stopped in the middle of things', () => {
  const options = `{ app: ${JSON.stringify(fixture('slow-start.js'))}, listen: 'localhost:0', quiet: true }`

  it('while a Cluster starts: it is stopped once it has', async () => {
    const program = Program.start(`
      const cluster = new Cluster(${options})
      cluster.start().then(() => say('up'), error => say(error.message))
      setTimeout(() => cluster.stop().then(() => say('stopped')), 300)`)
    await program.line(/^stopped$/m)
    expect(program.children).to.deep.equal([])
  })

  it('while a Prefork starts, and twice', async () => {
    const port = await freePort()
    const program = Program.start(`
      const prefork = new Prefork(${port}, { minProcesses: 2 })
      prefork.start(() => {}).catch(error => say(error.message))
      setTimeout(() => Promise.all([prefork.stop(), prefork.stop(), prefork.detachChildren()]).then(() => say('stopped')), 5)`)
    await program.line(/^stopped$/m)
    await program.line(/^cannot start program.js: it was stopped$/m)
    expect(program.children).to.deep.equal([])
  })

  it('nothing is restarted or reloaded afterwards, and all who wait are told', async () => {
    const program = Program.start(`
      const cluster = new Cluster({ app: ${JSON.stringify(fixture('plain.js'))}, listen: 'localhost:0', workers: 2, quiet: true })
      cluster.start().then(() => say('up'))`)
    await program.line(/^up$/m)
    const told = program.tell(
      'Promise.allSettled([cluster.restart(), cluster.restart(), cluster.stop()]).then(results => results.map(({ status }) => status))',
    )
    expect(await told).to.equal('done rejected,rejected,fulfilled')
    expect(await program.tell('cluster.restart()')).to.equal('failed cannot restart plain.js: it does not run')
  })

  it('a worker that cannot be started is a failure at once', async () => {
    const program = Program.start('')
    const long = `'x'.repeat(200_000)`
    const start = `new Cluster({ app: ${JSON.stringify(fixture('plain.js'))}, args: [${long}], listen: 'localhost:0', quiet: true }).start()`
    expect(await program.tell(start)).to.match(/^failed cannot start plain.js: a worker could not be started: ./)
  })

  it('a Prefork that is given fewer processes has fewer', async () => {
    const port = await freePort()
    const program = Program.start(`
      const prefork = new Prefork(${port}, { minProcesses: 4, maxProcesses: 4, standbyThreads: 0 })
      prefork.start(() => {})`)
    await until('four', () => program.children.length === 4)
    expect(await program.tell('prefork.reload({ minProcesses: 0 })')).to.match(/^failed cannot use minProcesses/)
    expect(await program.tell('prefork.reload({ minProcesses: 2, maxProcesses: 2 })')).to.equal('done undefined')
    await until('two', () => program.children.length === 2)
  })
})
