/** Bad input gets one line (action, object, cause), exit 2 for misuse and 1 for failure, and leaves nothing behind. */
import fs from 'node:fs'
import http from 'node:http'
import type net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { cleanups, type Ended, fixture, Lookout, temporaryFolder } from './support/lookout.js'

const APP = fixture('plain.js')

async function fails(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended & { stderr: string }> {
  const lookout = Lookout.spawn(args, { env })
  const ended = await lookout.ended
  expect(lookout.stdout).to.equal('')
  return { ...ended, stderr: lookout.stderr }
}

/** It ends with that code and that one line. */
async function expectLine(code: number, line: RegExp, args: string[], env?: NodeJS.ProcessEnv): Promise<void> {
  const ended = await fails(args, env)
  expect(ended.stderr).to.match(line)
  expect(ended.stderr.trimEnd().split('\n')).to.have.lengthOf(1)
  expect(ended.code).to.equal(code)
}

/** A server of somebody else's, on a port or a path. */
async function occupied(where: { port: number; host: string } | { path: string }): Promise<net.Server> {
  const server = http.createServer((_request, response) => response.end('mine'))
  await new Promise<void>(resolve => server.listen(where, resolve))
  cleanups.push(() => new Promise(resolve => server.close(() => resolve())))
  return server
}

describe('misuse is exit 2 and one line', () => {
  const cases: [string, RegExp, string[], NodeJS.ProcessEnv?][] = [
    [
      'an unknown option, with the nearest',
      /^lookout: unknown option '--idel' \(Did you mean --idle\?\)\n$/,
      ['--idel', '3', APP],
    ],
    ['a missing app', /^lookout: missing required argument 'app'\n$/, []],
    ['a missing value', /^lookout: option '-i, --idle <time>' argument missing\n$/, ['--idle']],
    [
      'a bad time',
      /^lookout: cannot use --idle: a time is 30, 30s, 500ms, 5m or 1h, not "soon"\n$/,
      ['--idle', 'soon', APP],
    ],
    ['a negative time', /^lookout: cannot use --grace: a time is .*, not "-1"\n$/, ['--grace=-1', APP]],
    ['an endless time', /^lookout: cannot use --idle: a time is at most 240h, not 9999h\n$/, ['--idle', '9999h', APP]],
    ['a bad time in the environment', /^lookout: cannot use LOOKOUT_IDLE: .* not "x"\n$/, [APP], { LOOKOUT_IDLE: 'x' }],
    [
      'a bad address',
      /^lookout: cannot use --listen: cannot listen on "nowhere": an address is PORT, HOST:PORT,.*\n$/,
      ['-l', 'nowhere', APP],
    ],
    [
      'a port too high',
      /^lookout: cannot use -l?.*--listen: cannot listen on 70000: a port is at most 65535\n$|a port is at most 65535\n$/,
      ['-l', '70000', APP],
    ],
    ['a bad PORT', /^lookout: cannot use PORT: cannot listen on "http": .*\n$/, [APP], { PORT: 'http' }],
    [
      'a path too long',
      /^lookout: cannot use --listen: .*: the path is longer than 107 bytes\n$/,
      ['-l', `/tmp/${'x'.repeat(120)}`, APP],
    ],
    [
      'an address given twice',
      /^lookout: cannot listen on localhost:45671: it is given twice\n$/,
      ['-l', 'localhost:45671', '-l', 'localhost:45671', APP],
    ],
    [
      'no workers',
      /^lookout: cannot use --workers: a whole number from 1 to 128 is wanted, not "0"\n$/,
      ['-w', '0', APP],
    ],
    [
      'a bad mode',
      /^lookout: cannot use --socket-mode: a mode is octal, as 660, not "rw"\n$/,
      ['--socket-mode', 'rw', APP],
    ],
    [
      'a bad flag in the environment',
      /^lookout: cannot use LOOKOUT_WATCH: 1 or 0 is wanted, not "maybe"\n$/,
      [APP],
      { LOOKOUT_WATCH: 'maybe' },
    ],
    ['an app that is not there', /^lookout: cannot run no\/such\/app\.js: it is not there\n$/, ['no/such/app.js']],
  ]
  for (const [what, line, args, env] of cases) it(what, () => expectLine(2, line, args, env))

  it('a folder without package.json, without main, with a main that is not there', async () => {
    const folder = temporaryFolder()
    await expectLine(2, /^lookout: cannot run .*: a folder without package\.json\n$/, [folder])
    fs.writeFileSync(path.join(folder, 'package.json'), '{')
    await expectLine(2, /^lookout: cannot run .*: package\.json: .*JSON.*\n$/, [folder])
    fs.writeFileSync(path.join(folder, 'package.json'), '{}')
    await expectLine(2, /^lookout: cannot run .*: its package\.json has no "main"\n$/, [folder])
    fs.writeFileSync(path.join(folder, 'package.json'), '{"main":"lib/app.js"}')
    await expectLine(2, /^lookout: cannot run .*: "main" names .*lib\/app\.js, which is not there\n$/, [folder])
  })

  it('runs a folder whose package.json names a main', async () => {
    const folder = temporaryFolder()
    fs.writeFileSync(path.join(folder, 'package.json'), '{"main":"./start"}')
    fs.writeFileSync(path.join(folder, 'start.js'), "module.exports = (request, response) => response.end('main')")
    const lookout = await Lookout.start([folder])
    expect((await request(lookout.url)).body).to.equal('main')
    expect(lookout.stderr).to.contain(`: ${path.basename(folder)} rests at `)
  })
})

describe('failure is exit 1 and one line', () => {
  it('a port in use says by whom', async () => {
    const server = await occupied({ port: 0, host: '127.0.0.1' })
    const { port } = server.address() as net.AddressInfo
    await expectLine(
      1,
      new RegExp(`^lookout: cannot bind localhost:${port}: EADDRINUSE \\(.+, pid ${process.pid}\\)\n$`),
      ['-l', `localhost:${port}`, APP],
    )
  })

  it('a port of another lookout says so, does not wake it, and leaves no socket file of its own', async () => {
    const first = await Lookout.start([APP])
    const socket = path.join(temporaryFolder(), 'app.sock')
    const line = new RegExp(
      `^lookout: cannot bind localhost:${first.port}: EADDRINUSE \\(another lookout, pid ${first.pid}\\)\n$`,
    )
    await expectLine(1, line, ['-l', socket, '-l', `localhost:${first.port}`, APP])
    expect(first.count(/wakes/)).to.equal(0)
    expect(fs.readdirSync(path.dirname(socket))).to.deep.equal([])
    expect((await request(first.url)).body).to.equal('hello')
  })

  it('a host that is not known', () =>
    expectLine(1, /^lookout: cannot bind no\.invalid:3000: E\w+ \(no address is known for no\.invalid\)\n$/, [
      '-l',
      'no.invalid:3000',
      APP,
    ]))

  it('an address that is not ours', () =>
    expectLine(1, /^lookout: cannot bind 192\.0\.2\.1:3000: EADDRNOTAVAIL\n$/, ['-l', '192.0.2.1:3000', APP]))

  it('no permission: a port below 1024 without the right to', async () => {
    const under = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all']
    const lookout = Lookout.spawn(['-l', '127.0.0.1:81', APP], {
      under: ['unshare', '-n', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh', ...under],
      env: { NODE_V8_COVERAGE: undefined }, // its folder is not nobody's to write
    })
    expect(await lookout.ended).to.deep.equal({ code: 1, signal: null })
    expect(lookout.stderr).to.equal(
      'lookout: cannot bind 127.0.0.1:81: EACCES (a port below 1024 needs root or CAP_NET_BIND_SERVICE)\n',
    )
  })
})

describe('socket files', () => {
  let folder: string
  let socket: string

  beforeEach(() => {
    folder = temporaryFolder()
    socket = path.join(folder, 'app.sock')
  })

  it('a file there is refused and left as it is', async () => {
    fs.writeFileSync(socket, 'precious')
    await expectLine(1, /^lookout: cannot bind .*app\.sock: it is there and is no socket\n$/, ['-l', socket, APP])
    expect(fs.readFileSync(socket, 'utf8')).to.equal('precious')
    expect(fs.readdirSync(folder)).to.deep.equal(['app.sock'])
  })

  it('a symbolic link there is refused, its target untouched', async () => {
    const target = path.join(folder, 'target')
    fs.writeFileSync(target, 'precious')
    fs.symlinkSync(target, socket)
    await expectLine(1, /^lookout: cannot bind .*app\.sock: it is there and is no socket\n$/, ['-l', socket, APP])
    expect(fs.readFileSync(target, 'utf8')).to.equal('precious')
  })

  it("a live socket of somebody else's is refused and goes on", async () => {
    await occupied({ path: socket })
    await expectLine(1, /^lookout: cannot bind .*app\.sock: EADDRINUSE \(another process listens there\)\n$/, [
      '-l',
      socket,
      APP,
    ])
    expect((await request(`unix:${socket}`)).body).to.equal('mine')
  })

  it('a live socket of another lookout is refused, and does not wake it', async () => {
    const first = await Lookout.start(['-l', socket, APP])
    await expectLine(
      1,
      new RegExp(`^lookout: cannot bind .*app\\.sock: EADDRINUSE \\(another lookout, pid ${first.pid}\\)\n$`),
      ['-l', socket, APP],
    )
    expect(first.count(/wakes/)).to.equal(0)
    expect((await request(`unix:${socket}`)).body).to.equal('hello')
  })

  it('a stale socket is replaced', async () => {
    const first = await Lookout.start(['-l', socket, APP])
    first.signal('SIGKILL')
    await first.ended
    expect(fs.existsSync(socket), 'left by the kill').to.equal(true)
    const second = await Lookout.start(['-l', socket, APP])
    expect((await request(second.url)).body).to.equal('hello')
    await second.stop()
    expect(fs.readdirSync(folder)).to.deep.equal([])
  })

  it('of ten that start at once on a stale socket, one gets it', async () => {
    const stale = await Lookout.start(['-l', socket, APP])
    stale.signal('SIGKILL')
    await stale.ended
    const all = Array.from({ length: 10 }, () => Lookout.spawn(['-l', socket, APP]))
    const results = await Promise.all(
      all.map(one => Promise.race([one.ended, one.line(/ rests at /).then(() => 'rests')])),
    )
    expect(results.filter(result => result === 'rests')).to.have.lengthOf(1)
    expect((await request(`unix:${socket}`)).body).to.equal('hello')
  })

  it('a folder that is not there', () =>
    expectLine(1, /^lookout: cannot bind \/no\/such\/app\.sock: ENOENT\n$/, ['-l', '/no/such/app.sock', APP]))

  it('--socket-mode sets its permissions', async () => {
    await Lookout.start(['-l', socket, '--socket-mode', '606', APP])
    expect(fs.statSync(socket).mode & 0o777).to.equal(0o606)
  })
})

describe('options', () => {
  it('are read from the environment, where the command line has the last word', async () => {
    const env = { LOOKOUT_LISTEN: '127.0.0.1:0', LOOKOUT_NAME: 'named', LOOKOUT_QUIET: '0' }
    const lookout = Lookout.spawn(['--name', 'given', APP], { env })
    await lookout.line(/^lookout \d+: given rests at http:\/\/127\.0\.0\.1:\d+$/m)
  })

  it('PORT is the default address', async () => {
    const server = await occupied({ port: 0, host: '127.0.0.1' })
    const { port } = server.address() as net.AddressInfo
    await expectLine(1, new RegExp(`cannot bind ${port}: EADDRINUSE`), [APP], { PORT: `${port}` })
  })

  it('-q says nothing but failures', async () => {
    const socket = path.join(temporaryFolder(), 'app.sock')
    const lookout = Lookout.spawn(['-q', '--idle', '100ms', '-l', socket, APP])
    await request(`unix:${socket}`).catch(() => {})
    for (;;)
      if (
        await request(`unix:${socket}`).then(
          () => true,
          () => new Promise(resolve => setTimeout(resolve, 5, false)),
        )
      )
        break
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    expect(lookout.stderr).to.equal('')
  })

  it('--version and --help are answered on stdout, exit 0', async () => {
    for (const [flag, answer] of [
      ['--version', /^\d+\.\d+\.\d+\n$/],
      ['--help', /^Usage: lookout \[options\] <app> \[-- args\]\n/],
    ] as const) {
      const lookout = Lookout.spawn([flag])
      expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
      expect(lookout.stdout).to.match(answer)
      expect(lookout.stderr).to.equal('')
    }
  })

  it('DEBUG=lookout:* traces each role', async () => {
    const lookout = await Lookout.start([APP], { env: { DEBUG: 'lookout:*' } })
    await request(lookout.url)
    for (const role of ['prepare', 'master', 'worker:0', 'listen']) await lookout.line(new RegExp(`lookout:${role} `))
  })
})
