/** `lookout up`: many apps behind one resting program, told anew by HUP; and the commands that tell of them. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { resting } from '../lib/posix.js'
import { request } from './support/client.js'
import { at, Folder, ports } from './support/folder.js'
import { hasPending, isReading, listens, ticks, waiting } from './support/kernel.js'
import { failures, load } from './support/load.js'
import { childrenOf, cleanups, isAlive, Lookout, until } from './support/lookout.js'
import { notRoot, skipWithout } from './support/missing.js'

/** kB of a process's memory that is its alone; of a program that was just built, its file counts as dirty, too. */
function privateDirty(pid: number): number {
  return Number(/^Anonymous:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
}

describe('lookout up', () => {
  it('holds several apps, each with its own address, folder, arguments, environment and options', async () => {
    const folder = await Folder.make()
    const [one, two] = await ports(2)
    fs.mkdirSync(path.join(folder.path, 'inner'))
    fs.writeFileSync(path.join(folder.path, 'inner/package.json'), '{"main": "../app.js"}')
    folder.configure({
      one: {
        script: 'app.js',
        listen: one,
        args: ['a', 'b'],
        env: { SAYS: 'one', NODE_OPTIONS: '--no-warnings' },
        workers: 2,
      },
      two: { cwd: 'inner', listen: [`localhost:${two}`, './two.sock'], idle: '300ms' },
      three: { script: 'app.js' },
    })
    const lookout = await folder.up()
    expect(lookout.stderr).to.match(/^lookout \d+: one rests at http:\/\/localhost:\d+, http:\/\/one\.localhost:\d+$/m)
    expect(childrenOf(lookout.pid)).to.deep.equal([])
    expect((await request(at(one!))).body).to.equal('one')
    expect((await request(at(two!))).body).to.equal('hello')
    const here = JSON.parse((await request(at(one!), '/where')).body)
    expect(here).to.deep.include({ cwd: folder.path, args: ['a', 'b'] })
    expect(here.env).to.include({ SAYS: 'one', NODE_OPTIONS: '--no-warnings' })
    expect(Object.keys(here.env).filter(name => /^(LISTEN|LOOKOUT_(?!TESTS))/.test(name))).to.deep.equal([])
    const there = JSON.parse((await request(at(two!), '/where')).body)
    expect(there.cwd).to.equal(path.join(folder.path, 'inner'))
    expect(there.env).not.to.have.property('SAYS')
    expect((await request(folder.url('three'))).body, 'without an address').to.equal('hello')
    await until('two workers', () => childrenOf(folder.app('one').master!).length === 2)
    await until('one rests alone', () => folder.app('two').state === 'rests')
    expect(folder.app('one').state).to.equal('awake')
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    expect(fs.readdirSync(path.join(folder.runtime, 'lookout'))).to.deep.equal([])
    expect(fs.existsSync(path.join(folder.path, 'two.sock'))).to.equal(false)
  })

  it('takes folders as apps', async () => {
    const folder = await Folder.make()
    for (const name of ['shop', 'blog']) {
      fs.mkdirSync(path.join(folder.path, 'code', name), { recursive: true })
      fs.writeFileSync(path.join(folder.path, 'code', name, 'package.json'), '{"main": "../../app.js"}')
    }
    const args = ['up', path.join(folder.path, 'code/shop'), path.join(folder.path, 'code/blog')]
    const lookout = Lookout.spawn(args, { env: folder.env })
    await lookout.line(/2 apps at rest$/m)
    expect((await request(folder.url('blog'))).body).to.equal('hello')
  })

  it('refuses an address that another has, in one line, and leaves nothing behind', async () => {
    const folder = await Folder.make()
    const [free, taken] = await ports(2)
    const server = net.createServer().listen(taken, '127.0.0.1')
    cleanups.push(() => void server.close())
    folder.configure({
      one: { script: 'app.js', listen: './one.sock' },
      two: { script: 'app.js', listen: `localhost:${taken}` },
      three: { script: 'app.js', listen: free },
    })
    const lookout = Lookout.spawn(['up'], { cwd: folder.path, env: folder.env })
    expect(await lookout.ended).to.deep.equal({ code: 1, signal: null })
    expect(lookout.stderr).to.match(/^lookout: cannot bind localhost:\d+: EADDRINUSE \(.*, pid \d+\)\n$/)
    expect(fs.readdirSync(folder.path).filter(name => /sock/.test(name))).to.deep.equal([])
  })

  it('of 200 apps costs little at rest; 20 wake at once; ls is right at each step', async () => {
    const folder = await Folder.make()
    const names = Array.from({ length: 200 }, (_, index) => `app${index}`)
    folder.configure(Object.fromEntries(names.map(name => [name, { script: 'app.js', idle: '3s' }])))
    const lookout = await folder.up()
    expect(privateDirty(lookout.pid), 'kB').to.be.at.most(600)
    const before = ticks(lookout.pid)
    const states = () =>
      JSON.parse(folder.run('ls', '--json').stdout)
        .filter(({ name }: { name: string }) => name !== 'lookout')
        .map(({ state }: { state: string }) => state)
    expect(states()).to.deep.equal(Array(200).fill('rests'))
    expect(ticks(lookout.pid), 'asking costs it nothing').to.equal(before)
    const some = names.filter((_, index) => index % 10 === 3)
    const replies = await Promise.all(some.map(folder.url, folder).map(url => request(url)))
    expect(replies.map(({ body }) => body)).to.deep.equal(Array(20).fill('hello'))
    const awake = states()
    expect(awake.filter((state: string) => state === 'awake')).to.have.length(20)
    expect(awake[3]).to.equal('awake')
    await until('all at rest', () => states().every((state: string) => state === 'rests'), 20_000)
    expect(folder.app('app13')).to.deep.include({ wakes: 1, requests: 1, why: 'idle 3 s' })
    expect(privateDirty(lookout.pid), 'kB').to.be.at.most(600)
  }).timeout(60_000)
})

describe('lookout up of 1,000 apps', () => {
  it('has each by its name', async () => {
    const folder = await Folder.make()
    const names = Array.from({ length: 1000 }, (_, index) => `application-${index}`)
    folder.configure(Object.fromEntries(names.map(name => [name, { script: 'app.js', env: { SAYS: name } }])))
    await folder.up()
    for (const name of [names.at(-1)!, names[0]!]) {
      const options = { headers: { Host: `${name}.localhost` } }
      expect((await request(at(folder.gateway), '/', options)).body).to.equal(name)
    }
  })
})

describe('lookout reload', () => {
  it('adds what is new, ends what is gone, and does not touch what is as it was', async () => {
    const folder = await Folder.make()
    const [one, two, three] = await ports(3)
    const same = { script: 'app.js', listen: one }
    folder.configure({
      same,
      old: { script: 'app.js', listen: two },
      other: { script: 'app.js', listen: './other.sock' },
    })
    const lookout = await folder.up()
    const pid = (await request(at(one!), '/pid')).body
    await request(at(two!))
    const slow = [request(at(one!), '/slow?1500'), request(at(two!), '/slow?1500')]
    await until('begun', () => folder.app('old').requests === 2)
    const { master } = folder.app('same')
    folder.configure({ fresh: { script: 'app.js', listen: three }, same })
    expect(await folder.start('reload')).to.deep.equal({
      code: 0,
      text: 'reloaded: 2 apps, 1 new, 0 changed, 2 gone\n',
    })
    expect(folder.app('same').master).to.equal(master)
    expect((await request(at(one!), '/pid')).body).to.equal(pid)
    expect((await request(at(three!))).body).to.equal('hello')
    await request(at(two!)).then(
      () => expect.fail('it is still there'),
      ({ code }) => expect(code).to.equal('ECONNREFUSED'),
    )
    for (const reply of slow) expect((await reply).body).to.equal('slow')
    expect(fs.readdirSync(folder.path).filter(name => /sock/.test(name))).to.deep.equal([])
    await until('the old one is gone', () => childrenOf(lookout.pid).length === 2)
    expect(JSON.parse(folder.run('ls', '--json').stdout).map(({ name }: { name: string }) => name)).to.deep.equal([
      'fresh',
      'same',
      'lookout',
    ])
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })

  it('has a changed app served by what it is now, at once, while what was begun is finished', async () => {
    const folder = await Folder.make()
    const [port] = await ports(1)
    folder.configure({ app: { script: 'app.js', listen: port, env: { SAYS: 'old' } } })
    const lookout = await folder.up()
    expect((await request(at(port!))).body).to.equal('old')
    const slow = request(at(port!), '/slow?3000')
    await until('begun', () => folder.app('app').requests === 2)
    folder.configure({ app: { script: 'app.js', listen: port, env: { SAYS: 'new' } } })
    expect((await folder.start('reload')).text).to.equal('reloaded: 1 app, 0 new, 1 changed, 0 gone\n')
    expect((await request(at(port!))).body).to.equal('new')
    expect((await slow).body).to.equal('slow')
    await until('the old one has left', () => childrenOf(lookout.pid).length === 1)
    expect(folder.app('app'), 'what is known of it is kept').to.include({ wakes: 2, failures: 0 })
    expect(folder.app('app').requests).to.be.within(2, 3) // of the last that the old one answered nobody is told
  })

  it('under load loses nothing: of apps that stay, and of one that changes each time', async () => {
    const folder = await Folder.make()
    const [stays, changes] = await ports(2)
    const configure = (turn: number) =>
      folder.configure({
        stays: { script: 'app.js', listen: stays, workers: 2 },
        changes: { script: 'app.js', listen: changes, env: { SAYS: `turn ${turn}` } },
        [`extra${turn}`]: { script: 'app.js' },
      })
    configure(0)
    const lookout = await folder.up()
    const clients = [stays, changes].flatMap(port =>
      [true, false].map(keepAlive => load(at(port!), { clients: 4, keepAlive })),
    )
    for (let turn = 1; turn <= 8; turn++) {
      configure(turn)
      const { code, text } = await folder.start('reload')
      expect([code, text]).to.deep.equal([0, 'reloaded: 3 apps, 1 new, 1 changed, 1 gone\n'])
      await until('the new one serves', async () => (await request(at(changes!))).body === `turn ${turn}`)
    }
    for (const client of clients) expect(failures(await client.stop()), client.errors.join('\n')).to.equal(0)
    expect(privateDirty(lookout.pid), 'kB').to.be.at.most(110)
    await until('the old ones have left', () => childrenOf(lookout.pid).length <= 2, 15_000)
    const open = fs.readdirSync(`/proc/${lookout.pid}/fd`).length
    expect(open, 'board, file, sockets, lifelines').to.be.below(20)
  }).timeout(90_000)

  it('that is refused changes nothing, and says why', async () => {
    const folder = await Folder.make()
    const [one, taken] = await ports(2)
    folder.configure({ one: { script: 'app.js', listen: one } })
    const lookout = await folder.up()
    await request(at(one!))
    const { master } = folder.app('one')
    const server = net.createServer().listen(taken, '127.0.0.1')
    cleanups.push(() => void server.close())
    for (const [text, complaint] of [
      ['{', /^lookout: cannot use lookout\.config\.json: .*\n$/],
      [
        '{"gateway": false, "apps": {"one": {"script": "gone.js", "listen": 1}}}',
        /^lookout: cannot use lookout\.config\.json: apps\.one.*gone\.js.*\n$/,
      ],
      [
        `{"gateway": false, "apps": {"two": {"script": "app.js", "listen": "localhost:${taken}"}}}`,
        /^lookout: cannot bind localhost:\d+: EADDRINUSE .*\n$/,
      ],
    ] as const) {
      fs.writeFileSync(folder.file, text)
      const { code, text: said } = await folder.start('reload')
      expect(code).to.equal(1)
      expect(said).to.match(complaint)
      await until('it goes on', () => lookout.count(/reload failed: it goes on as it was$/) > 0)
      expect(folder.app('one').master).to.equal(master)
      expect((await request(at(one!))).body).to.equal('hello')
    }
    folder.configure({ one: { script: 'app.js', listen: one }, two: { script: 'app.js' } })
    expect((await folder.start('reload')).text, lookout.stderr).to.match(/1 new, 0 changed/)
  })

  it('does not count the gateway among the apps, and says where it is when it comes or goes', async () => {
    const folder = await Folder.make()
    const [one, metrics] = await ports(2)
    const apps = { one: { script: 'app.js', listen: one } }
    folder.configure(apps)
    const lookout = await folder.up()
    const unchanged = { code: 0, text: 'reloaded: 1 app, 0 new, 0 changed, 0 gone\n' }
    const reload = async (rest: object) => {
      folder.configure(apps, rest)
      expect(await folder.start('reload')).to.deep.equal(unchanged)
    }
    await reload({ metrics })
    await reload({ gateway: false })
    await lookout.line(/: lookout is gone$/m)
    await reload({})
    await lookout.line(new RegExp(`: lookout is new, at .*localhost:${folder.gateway}`, 'm'))
    expect(lookout.stderr).not.to.match(/has changed/)
  })

  it('that is given up for a newer one is not waited for by those that come after', async () => {
    const folder = await Folder.make()
    const [read, stuck] = ['read', 'stuck'].map(name => path.join(folder.path, name)) as [string, string]
    fs.writeFileSync(
      path.join(folder.path, 'lookout.config.mjs'),
      `import fs from 'node:fs'
      fs.appendFileSync(${JSON.stringify(read)}, '.')
      if (fs.existsSync(${JSON.stringify(stuck)})) await new Promise(resolve => setTimeout(resolve, 30_000))
      export default { gateway: ${folder.gateway}, apps: { one: { script: 'app.js' } } }`,
    )
    const lookout = await folder.up()
    fs.writeFileSync(stuck, '')
    lookout.signal('SIGHUP')
    await until('it is being read', () => fs.readFileSync(read, 'utf8') === '..')
    fs.rmSync(stuck)
    for (let turn = 0; turn < 2; turn++) {
      expect(await folder.start('reload')).to.deep.equal({
        code: 0,
        text: 'reloaded: 1 app, 0 new, 0 changed, 0 gone\n',
      })
    }
  })

  it('that is asked for between TSTP and CONT ends with CONT, and wakes nobody before', async () => {
    const folder = await Folder.make()
    const [one, two] = await ports(2)
    const apps = { one: { script: 'app.js', listen: one } }
    folder.configure(apps)
    const lookout = await folder.up()
    const send = async (signal: NodeJS.Signals) => {
      lookout.signal(signal)
      await until(`${signal} was read`, () => !hasPending(lookout.pid))
    }
    await send('SIGTSTP')
    folder.configure({ ...apps, two: { script: 'app.js', listen: two } })
    const answer = request(at(one!))
    const reload = folder.start('reload')
    await until(
      'what it has come to is left',
      () => childrenOf(lookout.pid).some(pid => isReading(pid)) && listens(two!),
    )
    await until('who connects waits', () => waiting(one!) === 1)
    expect(lookout.count(/ held$|wakes/), lookout.stderr).to.equal(0)
    await send('SIGCONT')
    expect(await reload).to.deep.equal({ code: 0, text: 'reloaded: 2 apps, 1 new, 0 changed, 0 gone\n' })
    expect((await answer).body).to.equal('hello')
    expect((await request(at(two!))).body).to.equal('hello')
  })

  it('asked for many times at once ends with the newest, and wedges nothing', async () => {
    const folder = await Folder.make()
    const [port] = await ports(1)
    const app = { script: 'app.js', listen: port }
    folder.configure({ app })
    const lookout = await folder.up()
    const clients = load(at(port!), { clients: 2, keepAlive: true })
    for (let turn = 0; turn < 30; turn++) {
      folder.configure({ app, [`turn${turn}`]: { script: 'app.js' } })
      lookout.signal('SIGHUP')
      await new Promise(resolve => setTimeout(resolve, (turn * 13) % 90)) // at every moment of a reload
    }
    await until('the newest', () => folder.app('turn29') !== undefined)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    lookout.signal('SIGHUP')
    expect(await lookout.stop(), 'TERM while it thinks').to.deep.equal({ code: 0, signal: null })
    expect(fs.readdirSync(path.join(folder.runtime, 'lookout'))).to.deep.equal([])
  }).timeout(60_000)

  for (const [kind, flags] of [
    ['with sanitizers', ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']],
    ['as built', undefined],
  ] as const) {
    it(`${kind}: an app that fails keeps its back-off, a stopped master is killed in time`, async () => {
      const folder = await Folder.make()
      const env: NodeJS.ProcessEnv = {}
      if (flags) {
        const source = path.join(__dirname, '../../native/lookout.c')
        const built = path.join(folder.path, 'lookout')
        const { status, stderr } = spawnSync('gcc', ['-D_GNU_SOURCE', ...flags, '-o', built, source], {
          encoding: 'utf8',
        })
        expect([status, stderr]).to.deep.equal([0, ''])
        fs.copyFileSync(path.join(path.dirname(resting), 'posix.node'), path.join(folder.path, 'posix.node'))
        env.LOOKOUT_ADDON = path.join(folder.path, 'posix.node')
      }
      const [port] = await ports(1)
      folder.configure({ app: { script: 'app.js', listen: port, grace: '500ms' }, other: { script: 'app.js' } })
      const lookout = await folder.up(env)
      await request(at(port!))
      const { master } = folder.app('app')
      process.kill(master!, 'SIGSTOP')
      folder.configure({ app: { script: 'app.js', listen: port, grace: '500ms', env: { SAYS: 'new' } } })
      expect((await folder.start('reload')).code).to.equal(0)
      await until('the new one', async () => (await request(at(port!))).body === 'new') // until then the old workers serve
      await until('killed', () => !isAlive(master!))
      expect(lookout.stderr).not.to.match(/Sanitizer|runtime error/)
      expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    })
  }
})

describe('commands', () => {
  it('ls and status tell how it is, and wake nobody', async () => {
    const folder = await Folder.make()
    const [one, two] = await ports(2)
    fs.writeFileSync(path.join(folder.path, 'broken.js'), 'throw new Error("no way")')
    folder.configure({ one: { script: 'app.js', listen: one }, two: { script: 'broken.js', listen: two } })
    await folder.up()
    expect(folder.run('ls').stdout).to.match(
      /^NAME +STATE +ADDRESS +PID +MEMORY +REQUESTS +WAKES +WHY\none +rests +http:\/\/localhost:\d+ +0 +0\ntwo +rests/,
    )
    expect(folder.run('status', 'one').stdout).to.match(
      /^one: rests, and was not woken yet\n {2}at http:\/\/localhost:\d+, held by \d+\n$/,
    )
    await request(at(one!))
    expect((await request(at(two!))).status).to.equal(503)
    await until('awake', () => /^one: awake for .*: rests in /.test(folder.run('status', 'one').stdout))
    await until('fails', () =>
      /^two: fails: the app failed to start at broken\.js:1: no way; (next try in [\d.]+ m?s|the next request is another try)$/m.test(
        folder.run('status').stdout,
      ),
    )
    expect(folder.app('one').rss).to.be.above(1e7)
    const hold = request(at(one!), '/slow?2500')
    await until('why', () => /: 1 request in flight$/m.test(folder.run('status', 'one').stdout))
    await hold
    expect(folder.run('rest', 'one')).to.deep.equal({ status: 0, stdout: 'one rests\n', stderr: '' })
    expect(folder.run('status', 'one').stdout).to.match(
      /^one: rests since \d\d:\d\d: stopped\n.*\n {2}woken once, 2 requests, first request \d+ ms \(median\)\n$/,
    )
  })

  it('restart replaces the workers of the app that is named, and of no other', async () => {
    const folder = await Folder.make()
    const [one, two] = await ports(2)
    folder.configure({ one: { script: 'app.js', listen: one }, two: { script: 'app.js', listen: two } })
    await folder.up()
    const [first, second] = [(await request(at(one!), '/pid')).body, (await request(at(two!), '/pid')).body]
    expect(folder.run('restart', 'one')).to.deep.equal({ status: 0, stdout: 'restarted 1 worker\n', stderr: '' })
    expect((await request(at(one!), '/pid')).body).not.to.equal(first)
    expect((await request(at(two!), '/pid')).body).to.equal(second)
    expect(folder.run('rest', 'two').status).to.equal(0)
    expect(folder.run('restart', 'two').stdout).to.equal('it rests: the next connection loads it anew\n')
  })

  it('wake wakes an app and waits until it serves, or says why it does not', async () => {
    const folder = await Folder.make()
    fs.writeFileSync(path.join(folder.path, 'broken.js'), 'throw new Error("no way")')
    folder.configure({ one: { script: 'app.js', idle: '1s' }, two: { script: 'broken.js' } })
    await folder.up()
    expect(folder.run('wake', 'one')).to.deep.equal({ status: 0, stdout: 'one is awake\n', stderr: '' })
    expect(folder.app('one')).to.include({ state: 'awake', wakes: 1, requests: 0 })
    const failed = {
      status: 1,
      stdout: '',
      stderr: 'lookout: cannot wake two: the app failed to start at broken.js:1: no way\n',
    }
    expect(folder.run('wake', 'two')).to.deep.equal(failed)
    await until('at rest', () => folder.app('one').state === 'rests')
    const alone = await Lookout.start(['--name', 'alone', path.join(folder.path, 'app.js')], { env: folder.env })
    expect(folder.run('wake', 'alone').stderr).to.equal('lookout: cannot wake alone: it is not held by lookout up\n')
    await alone.stop()
  })

  it('metrics are in the format of Prometheus', async () => {
    const folder = await Folder.make()
    folder.configure({ one: { script: 'app.js' }, two: { script: 'app.js' } })
    const lookout = await folder.up()
    await request(folder.url('one'))
    await until('told', () => /^lookout_first_request_seconds/m.test(folder.run('metrics').stdout))
    const { stdout } = folder.run('metrics')
    const labels = (app: string) => `{app="${app}",lookout="${lookout.pid}"}`
    expect(stdout).to.include('# TYPE lookout_wakes_total counter\n').and.to.include('# TYPE lookout_awake gauge\n')
    expect(stdout).to.include(`lookout_awake${labels('one')} 1\nlookout_awake${labels('two')} 0\n`)
    expect(stdout).to.include(`lookout_requests_total${labels('one')} 1\n`)
    expect(folder.app('two').wakes, 'nobody is woken').to.equal(0)
  })

  it('a lookout of one app is known by them, too', async () => {
    const folder = await Folder.make()
    const lookout = await Lookout.start(['--name', 'alone', path.join(folder.path, 'app.js')], { env: folder.env })
    expect(folder.app('alone').state).to.equal('rests')
    const waiting = await folder.start('reload')
    expect(waiting.text).to.equal(`lookout: cannot reload ${lookout.pid}: it has no configuration (lookout up has)\n`)
    expect((await folder.start('stop')).text).to.equal(`stopped ${lookout.pid}\n`)
    expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
  })

  it('what a killed one left is not shown, and goes', async () => {
    const folder = await Folder.make()
    folder.configure({ one: { script: 'app.js' } })
    const lookout = await folder.up()
    const runtime = path.join(folder.runtime, 'lookout')
    expect(fs.readdirSync(runtime)).to.have.members([`${lookout.pid}`, `one.${lookout.pid}`])
    lookout.signal('SIGKILL')
    await lookout.ended
    expect(JSON.parse(folder.run('ls', '--json').stdout)).to.deep.equal([])
    expect(fs.readdirSync(runtime)).to.deep.equal([])
  })

  it('a runtime directory that is another user, or open to others, is not used', async function () {
    skipWithout(this, notRoot())
    const folder = await Folder.make()
    const runtime = path.join(folder.runtime, 'lookout')
    fs.mkdirSync(runtime, { mode: 0o700 })
    fs.chownSync(runtime, 65534, 65534)
    const lookout = await Lookout.start([path.join(folder.path, 'app.js')], { env: folder.env })
    expect(fs.readdirSync(runtime)).to.deep.equal([])
    expect((await request(lookout.url)).body).to.equal('hello')
    expect(folder.run('ls', '--json').stdout).to.equal('[]\n')
  })

  for (const [args, complaint] of [
    [['status', 'nobody'], 'there is no app nobody (lookout ls)'],
    [
      ['rest', 'nobody'],
      'cannot rest nobody: it is the name of no app that is held, no pid, and no file that can be read (ENOENT)',
    ],
    [['rest'], 'usage: lookout rest NAME|PID|PIDFILE'],
    [['stop'], 'cannot stop: there is no lookout'],
    [['stop', '1'], 'cannot stop 1: there is no lookout with pid 1'],
    [['reload', 'x'], 'usage: lookout reload [PID]'],
    [['ls', '--all'], 'usage: lookout ls [--json]'],
    [['up', '--all'], "unknown option '--all'"],
  ] as const) {
    it(`${args.join(' ')}: exit 2, in one line`, async () => {
      expect((await Folder.make()).run(...args)).to.deep.equal({
        status: 2,
        stdout: '',
        stderr: `lookout: ${complaint}\n`,
      })
    })
  }

  for (const command of ['ls', 'metrics', 'reload', 'rest', 'restart', 'status', 'stop', 'unit', 'up', 'wake']) {
    it(`${command} --help says what it is for`, async () => {
      const { status, stdout, stderr } = (await Folder.make()).run(command, '--help')
      expect([status, stderr]).to.deep.equal([0, ''])
      expect(stdout).to.match(new RegExp(`^Usage: lookout ${command}\\b.*\\n.*\\n`))
    })
  }
})
