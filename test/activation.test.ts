/** Sockets that are given by another program, and lies about them. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { posix } from '../lib/posix.js'
import { Activated, LIES, listening } from './support/activated.js'
import { request } from './support/client.js'
import { BIN, childrenOf, cleanups, fixture, isAlive, MARK, temporaryFolder, until } from './support/lookout.js'
import { skipWithout } from './support/missing.js'
import { freePort } from './support/program.js'

describe('sockets that are given (LISTEN_FDS)', () => {
  it('are served by the process that got them, which is the master; idle, it ends', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(fixture('plain.js'), { fds: [fd], args: ['--idle', '500ms', '-w', '2'] })
    expect((await request(url)).body).to.equal('hello')
    await until('two workers', () => childrenOf(lookout.child.pid!).length === 2)
    expect(fs.readFileSync(`/proc/${lookout.child.pid}/cmdline`, 'utf8')).to.match(/^lookout master plain\.js/)
    const workers = childrenOf(lookout.child.pid!)
    expect(await lookout.ended).to.equal(0)
    expect(lookout.stderr).to.match(/: wakes plain\.js at http:\/\/127\.0\.0\.1:\d+\n.*ready in.*ends: idle 500 ms\n$/s)
    expect(workers.some(isAlive)).to.equal(false)
    const waiting = request(url)
    Activated.start(fixture('plain.js'), { fds: [fd] })
    expect((await waiting).body, 'who came meanwhile').to.equal('hello')
  })

  it('of one name and port are one address: 127.0.0.1 and ::1', async () => {
    const v4 = listening()
    const v6 = listening(posix.AF_INET6, '::1', v4.port)
    Activated.start(fixture('plain.js'), { fds: [v4.fd, v6.fd] })
    expect((await request(v4.url)).body).to.equal('hello')
    expect((await request(`http://[::1]:${v4.port}`)).body).to.equal('hello')
  })

  it('go to the app in the order in which --listen names them', async () => {
    const app = path.join(temporaryFolder(), 'app.js')
    fs.writeFileSync(
      app,
      `for (const name of ['first', 'second', 'third']) require('node:http').createServer((_, response) => response.end(name)).listen(3000)`,
    )
    const [one, two] = [listening(), listening()]
    const three = listening(posix.AF_UNIX, path.join(temporaryFolder(), 'three'))
    Activated.start(app, {
      fds: [one.fd, two.fd, three.fd],
      env: { LISTEN_FDNAMES: 'one:two:three' },
      args: ['-l', 'name=three', '-l', 'name=two'],
    })
    expect((await request(three.url)).body).to.equal('first')
    expect((await request(two.url)).body).to.equal('second')
    expect((await request(one.url)).body).to.equal('third')
  })

  it('keep their backlog', async () => {
    const fd = posix.socket(posix.AF_INET)
    cleanups.push(() => posix.close(fd))
    posix.bind(fd, posix.AF_INET, '127.0.0.1', 0)
    posix.listen(fd, 7)
    const [, , port] = posix.getsockname(fd)
    Activated.start(fixture('plain.js'), { fds: [fd] })
    await request(`http://127.0.0.1:${port}`)
    const { stdout } = spawnSync('ss', ['-ltnH', `sport = :${port}`], { encoding: 'utf8' })
    expect(stdout.trim().split(/\s+/)[2]).to.equal('7')
  })

  it('that are blocking hold nobody up', async () => {
    const script = `use Socket; use POSIX; $^F = 10; socket(S, AF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK));
      listen(S, 100); $| = 1; my ($port) = sockaddr_in(getsockname(S)); print "$port\\n"; POSIX::dup2(fileno(S), 3);
      $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; exec @ARGV`
    const [name, value] = MARK.split('=') as [string, string]
    const child = spawn('perl', ['-e', script, process.execPath, BIN, '-w', '2', fixture('plain.js')], {
      env: { ...process.env, [name]: value },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    cleanups.push(() => void child.kill('SIGKILL'))
    let said = ''
    child.stdout.on('data', text => {
      said += text
    })
    const [port] = await until('a port', () => /^\d+$/m.exec(said))
    const replies = await Promise.all(Array.from({ length: 20 }, () => request(`http://127.0.0.1:${port}`)))
    expect(replies.every(({ body }) => body === 'hello')).to.equal(true)
    expect((await request(`http://127.0.0.1:${port}`)).body).to.equal('hello')
  })

  it('for another process are none: the app gets those that it asks for', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(fixture('plain.js'), {
      fds: [fd],
      env: { LISTEN_PID: '1' },
      args: ['-l', 'localhost:0'],
    })
    const [, address] = await lookout.line(/rests at (\S+)/)
    expect(address).not.to.equal(url)
    expect((await request(address!)).body).to.equal('hello')
  })

  it('are found by `lookout restart`, by the master pid', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(fixture('plain.js'), { fds: [fd], args: ['-w', '2'] })
    const before = (await request(url, '/pid')).body
    await lookout.line(/worker 1 .* ready/)
    const restart = spawn(process.execPath, [BIN, 'restart', `${lookout.child.pid}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    restart.stdout.on('data', text => {
      said += text
    })
    const code = await new Promise(resolve => restart.on('close', resolve))
    expect([code, said]).to.deep.equal([0, 'restarted 2 workers\n'])
    await until('the old one gone', () => !isAlive(Number(before))) // it hears of it a moment before it takes no more
    expect((await request(url, '/pid')).body).not.to.equal(before)
  })

  it('hear the signals that are for lookout', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(fixture('plain.js'), { fds: [fd] })
    await request(url)
    await lookout.line(/worker 0 .* ready/) // the master is there, too: the worker may have been faster
    lookout.child.kill('SIGTTIN')
    await lookout.line(/worker 1 .* ready/)
    lookout.child.kill('SIGTTOU')
    await lookout.line(/wants 1 worker$/m)
    lookout.child.kill('SIGUSR1')
    await lookout.line(/^master \d+: \{"name":"plain.js"/m)
    const slow = request(url, '/slow?500')
    await request(url)
    lookout.child.kill('SIGTERM')
    expect((await slow).body).to.equal('slow')
    expect(await lookout.ended).to.equal(0)
  })
})

describe('systemd-socket-activate', () => {
  it('starts lookout for a connection, TCP and unix', async function () {
    const { error } = spawnSync('systemd-socket-activate', ['--version'])
    skipWithout(this, error && 'systemd-socket-activate is needed')
    const port = await freePort()
    const file = path.join(temporaryFolder(), 'socket')
    const app = path.join(path.dirname(file), 'app.js')
    fs.writeFileSync(
      app,
      `for (const name of ['first', 'second']) require('node:http').createServer((_, response) => response.end(name)).listen(3000)`,
    )
    const [name, value] = MARK.split('=') as [string, string]
    const words = ['-l', `127.0.0.1:${port}`, '-l', file, '--fdname=web:admin', `-E${name}=${value}`]
    const command = [process.execPath, BIN, '--idle', '500ms', '-l', 'name=admin', app]
    const child = spawn('systemd-socket-activate', [...words, ...command], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      said += text
    })
    const ended = new Promise(resolve => child.on('close', resolve))
    cleanups.push(async () => {
      child.kill('SIGKILL')
      await ended
    })
    await until('it listens', () => said.match(/Listening on/g)?.length === 2)
    expect((await request(`http://127.0.0.1:${port}`)).body).to.equal('second')
    expect((await request(`unix:${file}`)).body).to.equal('first')
    expect(await ended, 'idle').to.equal(0)
    expect(said).to.match(/ends: idle 500 ms/)
  })
})

describe('lies about sockets', () => {
  for (const { what, give, complaint } of LIES) {
    it(`${what}: exit 2, in one line`, async () => {
      const lookout = Activated.start(fixture('plain.js'), await give())
      expect(await lookout.ended).to.equal(2)
      expect(lookout.stderr).to.match(complaint)
    })
  }

  it('a name that was not given, or an address: exit 2, with those that were', async () => {
    for (const [wanted, complaint] of [
      ['name=admin', 'the sockets given are called web'],
      ['localhost:3000', 'the sockets are given, and called web; pick one by name=NAME'],
    ] as const) {
      const lookout = Activated.start(fixture('plain.js'), {
        fds: [listening().fd],
        env: { LISTEN_FDNAMES: 'web' },
        args: ['-l', wanted],
      })
      expect(await lookout.ended).to.equal(2)
      expect(lookout.stderr).to.equal(`lookout: cannot listen on ${wanted}: ${complaint}\n`)
    }
  })

  it('a name where none were given: exit 2', async () => {
    const lookout = Activated.start(fixture('plain.js'), {
      fds: [],
      env: { LISTEN_PID: '1' },
      args: ['-l', 'name=web'],
    })
    expect(await lookout.ended).to.equal(2)
    expect(lookout.stderr).to.equal('lookout: cannot listen on name=web: no sockets were given (LISTEN_FDS)\n')
  })
})

describe('sd_notify', () => {
  /** Receives datagrams at a path, or an abstract name, which Node cannot: what came, message by message. */
  async function manager(address: string): Promise<() => string[]> {
    const script = `use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; my $a = $ARGV[0]; $a =~ s/^@/\\0/;
      bind($s, pack('S a*', AF_UNIX, $a)) or die $!; $| = 1; print "bound\\n";
      while (defined recv($s, my $m, 65536, 0)) { $m =~ s/\\n/ /g; print "$m\\n" }`
    const child = spawn('perl', ['-e', script, address], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanups.push(() => void child.kill())
    let said = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      said += text
    })
    await until('bound', () => said.startsWith('bound\n'))
    return () => said.trim().split('\n').slice(1)
  }

  for (const [kind, address] of [
    ['a path', () => path.join(temporaryFolder(), 'notify')],
    ['an abstract name', () => `@lookout-test-${process.pid}`],
  ] as const) {
    it(`tells a manager at ${kind} of its life`, async () => {
      const NOTIFY_SOCKET = address()
      const told = await manager(NOTIFY_SOCKET)
      const { fd, url } = listening()
      const env = { NOTIFY_SOCKET, WATCHDOG_USEC: '600000', WATCHDOG_PID: 'PID' }
      const lookout = Activated.start(fixture('plain.js'), { fds: [fd], env, args: ['--idle', '2s', '--grace', '3s'] })
      await request(url)
      await until('a status', () => told().some(text => /^STATUS=1 worker, 1 request; rests in/.test(text)))
      await until('the watchdog is fed', () => told().filter(text => text === 'WATCHDOG=1').length >= 3)
      lookout.child.kill('SIGUSR2')
      await until('a reload', () => told().some(text => /^RELOADING=1 MONOTONIC_USEC=\d+$/.test(text)))
      await until('its end', () => told().includes('READY=1 STATUS=restarted 1 worker'))
      expect(await lookout.ended).to.equal(0)
      const first = told().find(text => text !== 'WATCHDOG=1') // which is fed during a long boot, too
      expect(first).to.equal('READY=1 STATUS=serves')
      await until('the last', () => told().includes('STOPPING=1 EXTEND_TIMEOUT_USEC=5000000 STATUS=idle 2 s'))
    })
  }

  it('asks for more time while a long boot lasts', async () => {
    const NOTIFY_SOCKET = path.join(temporaryFolder(), 'notify')
    const told = await manager(NOTIFY_SOCKET)
    const app = path.join(temporaryFolder(), 'app.js')
    fs.writeFileSync(
      app,
      `setTimeout(() => require('node:http').createServer((_, response) => response.end()).listen(3000), 6000)`,
    )
    const { fd, url } = listening()
    Activated.start(app, { fds: [fd], env: { NOTIFY_SOCKET } })
    await request(url)
    await until('it is ready', () => told().length >= 3)
    const first = told().slice(0, 3) // and how it is, every second
    expect(first).to.deep.equal(['STATUS=boots', 'EXTEND_TIMEOUT_USEC=30000000', 'READY=1 STATUS=serves'])
  })

  it('feeds no watchdog that is for another process, and starves its own when no worker turns', async () => {
    const NOTIFY_SOCKET = path.join(temporaryFolder(), 'notify')
    const told = await manager(NOTIFY_SOCKET)
    const { fd, url } = listening()
    const other = Activated.start(fixture('plain.js'), {
      fds: [fd],
      env: { NOTIFY_SOCKET, WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' },
      args: ['--idle', '1s'],
    })
    await request(url)
    await other.ended
    await until('all was told', () => told().some(text => text.startsWith('STOPPING=1')))
    expect(told().filter(text => text === 'WATCHDOG=1')).to.deep.equal([])

    const env = { NOTIFY_SOCKET, WATCHDOG_USEC: '1000000', WATCHDOG_PID: 'PID' }
    const lookout = Activated.start(fixture('plain.js'), { fds: [fd], env, args: ['--watchdog', '0'] })
    await request(url)
    await until('fed', () => told().includes('WATCHDOG=1'))
    await request(url, '/spin')
    const fed = () => told().filter(text => text === 'WATCHDOG=1').length
    let [before, since] = [fed(), performance.now()]
    await until('starved for a limit', () => {
      if (fed() !== before) [before, since] = [fed(), performance.now()]
      return performance.now() - since > 1500
    })
    expect(isAlive(lookout.child.pid!)).to.equal(true)
  })

  it('to nobody is complained of, and nothing else', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(fixture('plain.js'), { fds: [fd], env: { NOTIFY_SOCKET: '/proc/nowhere' } })
    expect((await request(url)).body).to.equal('hello')
    await lookout.line(/cannot notify \/proc\/nowhere: ENOENT$/m)
  })

  it('a lookout that rests says that it is ready', async () => {
    const NOTIFY_SOCKET = path.join(temporaryFolder(), 'notify')
    const told = await manager(NOTIFY_SOCKET)
    const args = ['-l', 'localhost:0', '--name', 'shop']
    const lookout = Activated.start(fixture('plain.js'), { fds: [], env: { LISTEN_PID: '1', NOTIFY_SOCKET }, args })
    const [, url] = await lookout.line(/rests at (\S+)/)
    await until('something is told', () => told().length > 0)
    expect(told()).to.deep.equal([`READY=1 STATUS=shop rests at ${url}`])
    expect(JSON.parse((await request(url!, '/env')).body)).not.to.have.property('NOTIFY_SOCKET')
  })
})
