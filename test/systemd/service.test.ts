/** Under a real systemd: the units that `lookout unit` makes, and what becomes of them. */
import fs from 'node:fs'
import { expect } from 'chai'
import { request } from '../support/client.js'
import { failures, load } from '../support/load.js'
import { cleanups, until } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'
import { freePort } from '../support/program.js'
import { missing, Systemd } from '../support/systemd.js'

const EXPRESS = `const express = require('express')
const { spawnSync } = require('node:child_process')
const app = express()
app.get('/', (_, response) => response.send('hello'))
app.get('/pid', (_, response) => response.send(String(process.pid)))
app.get('/slow', (request, response) => setTimeout(() => response.send('slow'), Number(request.query.ms)))
app.get('/env', (_, response) => response.json({ ours: process.env, childs: spawnSync('env', { encoding: 'utf8' }).stdout }))
app.get('/spin', (_, response) => { response.send('spins'); response.on('finish', () => { for (;;); }) })
app.listen(process.env.PORT ?? 3000)
`

describe('under systemd', function () {
  this.timeout(60_000)
  let systemd: Systemd

  before('a systemd of our own', async function () {
    skipWithout(this, missing())
    systemd = await Systemd.boot()
  })

  after(() => systemd?.end())

  /** An app with its units installed, at rest. */
  async function installed(name: string, text: string, ...options: string[]) {
    const port = await freePort()
    const folder = systemd.app(name, { 'app.js': text })
    await systemd.install(`${folder}/app.js`, '-l', `localhost:${port}`, ...options)
    return {
      service: `${name}.service`,
      socket: `${name}.socket`,
      file: systemd.path(`${folder}/app.js`),
      url: `http://127.0.0.1:${port}`,
      v6: `http://[::1]:${port}`,
    }
  }

  /** Settings beside those of the unit. */
  async function dropIn(service: string, text: string) {
    const folder = systemd.path(`/etc/systemd/system/${service}.d`)
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(`${folder}/test.conf`, text)
    await systemd.do('systemctl', 'daemon-reload')
    cleanups.push(() => fs.rmSync(folder, { recursive: true }))
  }

  const main = async (service: string) => Number((await systemd.show(service, 'MainPID')).MainPID)

  it('nothing is there at rest; who connects wakes it; idle, nothing is left', async () => {
    const { service, socket, url, v6 } = await installed('shop', EXPRESS, '--idle', '2s')
    expect(await systemd.state(socket)).to.equal('active')
    expect(await systemd.state(service)).to.equal('inactive')
    expect(systemd.processes(service)).to.deep.equal([])
    expect((await request(url)).body).to.equal('hello')
    expect((await request(v6)).body).to.equal('hello')
    expect(await systemd.state(service)).to.equal('active')
    await until('a status', async () =>
      /^1 worker, 2 requests; rests in/.test((await systemd.show(service, 'StatusText')).StatusText!),
    )
    expect(systemd.processes(service)).to.have.length(2)
    await systemd.rests(service)
    expect((await systemd.show(service, 'Result', 'StatusText')).Result).to.equal('success')
    const { ExecMainStatus, NRestarts } = await systemd.show(service, 'ExecMainStatus', 'NRestarts')
    expect([ExecMainStatus, NRestarts]).to.deep.equal(['0', '0'])
  })

  it('--idle, and 50 wakes with clients at any moment: none of 10,000 requests fails', async () => {
    const { service, url } = await installed('edges', EXPRESS, '--idle', '100ms')
    const wakes = async () => (await systemd.journal(service)).match(/: wakes edges at /g)?.length ?? 0
    let asked = 0
    for (let cycle = 0; asked < 10_000 || (await wakes()) < 50; cycle++) {
      const clients = load(url, { clients: 4, keepAlive: cycle % 2 === 0 })
      await until('a burst', () => clients.counts.ok >= 200 || failures(clients.counts) > 0)
      const counts = await clients.stop()
      expect(failures(counts), clients.errors.join('\n')).to.equal(0)
      asked += counts.ok
      if (cycle % 3 === 0) await systemd.rests(service)
      else await new Promise(resolve => setTimeout(resolve, 80 + (cycle % 40))) // before, at and after its end
    }
    expect(await systemd.state('edges.socket')).to.equal('active')
  }).timeout(180_000)

  it('an app that listens twice, on TCP and a unix socket, is woken by either', async () => {
    const two = `const http = require('node:http')
    for (const name of ['first', 'second']) http.createServer((_, response) => response.end(name)).listen(3000)`
    const { service, url } = await installed(
      'twice',
      two,
      '--idle',
      '300ms',
      '-l',
      '/run/twice.sock',
      '--socket-mode',
      '600',
    )
    const unix = `unix:${systemd.path('/run/twice.sock')}`
    expect(fs.statSync(systemd.path('/run/twice.sock')).mode & 0o777).to.equal(0o600)
    expect((await request(url)).body).to.equal('first')
    expect((await request(unix)).body).to.equal('second')
    await systemd.rests(service)
    expect((await request(unix)).body).to.equal('second')
  })

  it('an app that fails is answered for, and its socket stays; it serves once it is mended', async () => {
    const { service, socket, url, file } = await installed('broken', 'throw new Error("no way")', '--idle', '500ms')
    for (let visit = 0; visit < 12; visit++) {
      const { status, headers } = await request(url)
      expect(status).to.equal(503)
      expect(Number(headers['retry-after'])).to.be.within(1, 15)
      if (visit % 3 === 0) await systemd.rests(service)
    }
    expect(await systemd.state(socket)).to.equal('active')
    await request(url)
    await until('a status', async () =>
      /^fails: the app failed to start at app\.js:1: no way/.test(
        (await systemd.show(service, 'StatusText')).StatusText!,
      ),
    )
    const errors = await systemd.journal(service, '--priority=err')
    expect(errors).to.match(/Error: no way/)
    expect(errors).not.to.match(/wakes broken/)
    expect(errors, 'the journal takes the number away').not.to.match(/^<\d>/m)
    fs.writeFileSync(file, EXPRESS)
    await until('mended', async () => (await request(url)).body === 'hello')
    fs.rmSync(file)
    await systemd.rests(service)
    expect((await request(url)).status, 'an app that is gone fails like any other').to.equal(503)
    expect((await systemd.show(service, 'NRestarts')).NRestarts).to.equal('0')
  })

  it('a master that hangs is restarted by systemd', async () => {
    const { service, url } = await installed('hung', EXPRESS)
    await dropIn(service, '[Service]\nWatchdogSec=1\nRestartSec=100ms\n')
    await request(url)
    const [first, second] = await until('it lives on', async () => {
      const { MainPID, WatchdogTimestampMonotonic } = await systemd.show(
        service,
        'MainPID',
        'WatchdogTimestampMonotonic',
      )
      return seen(Number(MainPID), Number(WatchdogTimestampMonotonic))
    })
    expect(second, 'systemd is told').to.be.above(0)
    await systemd.do('kill', '-STOP', `${first}`)
    await until('another master', async () => ![0, first].includes(await main(service)), 15_000)
    expect(await systemd.journal('init.scope', `--unit=${service}`)).to.match(/watchdog/i)
    expect((await request(url)).body).to.equal('hello')
  })

  /** Two different times of its word have been seen: the pid, and the later. */
  let times: number[] = []
  function seen(pid: number, time: number): [number, number] | undefined {
    if (time !== times.at(-1)) times.push(time)
    if (times.filter(time => time > 0).length < 3) return undefined
    times = []
    return [pid, time]
  }

  it('a worker that hangs is replaced by the master, which systemd leaves alone', async () => {
    const { service, url } = await installed('spins', EXPRESS, '--watchdog', '1s')
    await dropIn(service, '[Service]\nWatchdogSec=2\n')
    await request(url)
    const master = await main(service)
    await request(url, '/spin')
    await until('replaced', async () => /hangs: its event loop has not turned/.test(await systemd.journal(service)))
    expect((await request(url)).body).to.equal('hello')
    expect(await main(service)).to.equal(master)
  })

  it('reload is a phased restart: new code, no failure; and fails where the new code does', async () => {
    const { service, url, file } = await installed('reloads', EXPRESS, '-w', '2')
    await request(url)
    const [master, worker] = [await main(service), (await request(url, '/pid')).body]
    const clients = load(url, { clients: 8, keepAlive: true })
    fs.writeFileSync(file, EXPRESS.replace("'hello'", "'new'"))
    await systemd.do('systemctl', 'reload', service)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    expect((await request(url)).body).to.equal('new')
    expect((await request(url, '/pid')).body).not.to.equal(worker)
    expect(await main(service)).to.equal(master)
    expect(await systemd.state(service)).to.equal('active')

    fs.writeFileSync(file, 'throw new Error("no")')
    expect((await systemd.run('systemctl', 'reload', service)).code).not.to.equal(0)
    expect((await request(url)).body, 'the old ones serve').to.equal('new')
    expect(await systemd.state(service)).to.equal('active')
    expect(await systemd.journal(service)).to.match(
      /cannot restart \d+: the app failed to start at app\.js:1: no; 0 of 2 workers/,
    )
  })

  it('SIGHUP is a phased restart, too, and systemd is told of it', async () => {
    const { service, url } = await installed('hup', EXPRESS)
    const worker = (await request(url, '/pid')).body
    await systemd.do('systemctl', 'kill', '--kill-whom=main', '--signal=HUP', service)
    await until('another', async () => (await request(url, '/pid')).body !== worker)
    await until('running', async () => (await systemd.show(service, 'SubState')).SubState === 'running')
    expect(await systemd.journal(service)).to.match(/: restarted 1 worker$/m)
  })

  it('restart and stop lose nothing: what was begun is finished, who waits is served', async () => {
    const { service, url } = await installed('stops', EXPRESS, '-w', '2', '--idle', '30s')
    await request(url)
    for (const keepAlive of [true, false]) {
      const clients = load(url, { clients: 8, keepAlive })
      for (let time = 0; time < 3; time++) await systemd.do('systemctl', 'restart', service)
      for (let time = 0; time < 3; time++) await systemd.do('systemctl', 'stop', service)
      const { ok } = clients.counts
      await until('it goes on', () => clients.counts.ok > ok + 100)
      expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    }
    const slow = request(url, '/slow?ms=5000') // systemd is told once a second
    await until('in flight', async () =>
      /1 request in flight/.test((await systemd.show(service, 'StatusText')).StatusText!),
    )
    const stopping = systemd.do('systemctl', 'stop', service)
    await until('stopping', async () => (await systemd.state(service)) === 'deactivating')
    expect((await request(url)).body, 'who comes meanwhile is served by the next').to.equal('hello')
    expect((await slow).body).to.equal('slow')
    await stopping
  }).timeout(120_000)

  it('the app and its children see nothing of what systemd has told lookout', async () => {
    const { url } = await installed('env', EXPRESS)
    const { ours, childs } = JSON.parse((await request(url, '/env')).body)
    expect(ours.STATE_DIRECTORY).to.equal('/var/lib/env')
    expect(ours.NODE_ENV).to.equal('production')
    const hidden = /^(LISTEN_|NOTIFY_|WATCHDOG_|LOOKOUT_|NODE_COMPILE_CACHE)/
    expect(Object.keys(ours).filter(name => hidden.test(name))).to.deep.equal([])
    expect(childs.split('\n').filter((line: string) => hidden.test(line))).to.deep.equal([])
  })

  it('an app that speaks the protocol itself runs like any other', async () => {
    // What SvelteKit's adapter-node does, and systemd-socket's packages.
    const text = `const http = require('node:http')
    const given = process.env.LISTEN_PID === String(process.pid) && Number(process.env.LISTEN_FDS) === 1
    http.createServer((_, response) => response.end(given ? 'itself' : 'by lookout')).listen(given ? { fd: 3 } : 3000)`
    const { url } = await installed('itself', text)
    expect((await request(url)).body).to.equal('by lookout')
  })

  it('what a killed master leaves goes, and the next one serves', async () => {
    const { service, url } = await installed('killed', EXPRESS)
    await dropIn(service, '[Service]\nRestartSec=100ms\n')
    const worker = (await request(url, '/pid')).body
    const master = await main(service)
    await systemd.do('systemctl', 'kill', '--kill-whom=main', '--signal=KILL', service)
    await until('another', async () => ![0, master].includes(await main(service)))
    expect((await request(url, '/pid')).body).not.to.equal(worker)
  })

  it('keeps compiled code in $CACHE_DIRECTORY', async () => {
    const { url } = await installed('cached', EXPRESS)
    await request(url)
    const folder = systemd.path('/var/cache/private/cached/lookout')
    expect(fs.statSync(folder).mode & 0o777, 'Node before 22 puts nothing there').to.equal(0o700)
  })

  it('words reach the app as they were given', async () => {
    const words = ['--price', '5$', '100%', 'say "hi"\\', "it's", '$HOME', '%h', '']
    const text = `require('node:http').createServer((_, response) => response.end(JSON.stringify(process.argv.slice(2)))).listen(3000)`
    const folder = systemd.app('words', { 'a b.js': text })
    const port = await freePort()
    const app = `${folder}/a b.js`
    const { stderr } = await systemd.lookout(
      'unit',
      '--install',
      '--name',
      'words',
      '-l',
      `${port}`,
      app,
      '--',
      ...words,
    )
    expect(stderr).to.equal('')
    cleanups.push(async () => void (await systemd.lookout('unit', '--remove', 'words')))
    expect(JSON.parse((await request(`http://127.0.0.1:${port}`)).body)).to.deep.equal(words)
  })

  it('an app that others may not read runs as who owns it; as root, never', async () => {
    const folder = systemd.app('closed', { 'app.js': '' })
    const app = `${folder}/app.js`
    fs.chmodSync(systemd.path(app), 0o600)
    const { code, stderr } = await systemd.lookout('unit', app)
    expect(code).to.equal(2)
    expect(stderr).to.equal(
      `lookout: cannot make a unit for ${app}: only root may enter ${app}, and an app is not run as root; move it, or let others read it\n`,
    )
    fs.chownSync(systemd.path(app), 65534, 65534)
    const { stdout } = await systemd.lookout('unit', app)
    expect(stdout)
      .to.match(/^User=nobody$/m)
      .and.not.to.match(/^DynamicUser/m)
  })

  it('an app in /var/tmp, or in a home, is still there for its unit', async () => {
    fs.mkdirSync(systemd.path('/var/tmp/shop'))
    fs.writeFileSync(systemd.path('/var/tmp/shop/app.js'), EXPRESS)
    expect((await systemd.lookout('unit', '/var/tmp/shop/app.js')).stdout).to.match(/^PrivateTmp=no$/m)
    expect((await systemd.lookout('unit', `${systemd.app('shop', { 'app.js': '' })}/app.js`)).stdout)
      .to.match(/^PrivateTmp=yes$/m)
      .and.to.match(/^ProtectHome=yes$/m)
  })

  it('the units are clean, and what they allow is little', async () => {
    const { service, socket } = await installed('clean', EXPRESS)
    expect((await systemd.run('systemd-analyze', 'verify', service, socket)).stderr).to.equal('')
    const { stdout } = await systemd.run('systemd-analyze', 'security', '--no-pager', service)
    expect(Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1])).to.be.below(2)
  })

  it('installed again with other options it has those; a name that is taken is refused', async () => {
    const { service, socket, url, file } = await installed('again', EXPRESS)
    await request(url)
    const port = await freePort()
    const app = file.replace(/^\/proc\/\d+\/root/, '')
    const { stdout } = await systemd.lookout('unit', '--install', '-l', `127.0.0.1:${port}`, '--idle', '1s', app)
    expect(stdout).to.match(
      /^again rests at 127\.0\.0\.1:\d+\n\/etc\/systemd\/system\/again\.service\n.*journalctl -fu again$/m,
    )
    expect((await request(`http://127.0.0.1:${port}`)).body).to.equal('hello')
    await request(url).then(
      () => expect.fail('the old address is still there'),
      ({ code }) => expect(code).to.equal('ECONNREFUSED'),
    )
    await systemd.rests(service)
    expect(await systemd.state(socket)).to.equal('active')
    const { code, stderr } = await systemd.lookout('unit', '--install', '--name', 'systemd-journald', app)
    expect(code).to.equal(1)
    expect(stderr).to.match(/^lookout: cannot use the name systemd-journald: \S+ is there, and not ours \(--name\)\n$/)
  })

  it('--remove takes away what it has made, and only that', async () => {
    const folder = systemd.app('gone', { 'app.js': EXPRESS })
    const port = await freePort()
    await systemd.lookout('unit', '--install', '--name', 'gone.v2', '-l', `${port}`, `${folder}/app.js`)
    await request(`http://127.0.0.1:${port}`)
    expect((await systemd.lookout('unit', '--remove', 'gone.v2')).stdout).to.equal('gone.v2 is removed\n')
    expect(fs.readdirSync(systemd.path('/etc/systemd/system')).filter(name => name.startsWith('gone'))).to.deep.equal(
      [],
    )
    expect(systemd.processes('gone.v2.service')).to.deep.equal([])
    const { code, stderr } = await systemd.lookout('unit', '--remove', 'gone')
    expect([code, stderr]).to.deep.equal([
      2,
      'lookout: cannot remove gone: there is no /etc/systemd/system/gone.socket\n',
    ])
  })

  it('--remove takes the app by which they were installed, though it is gone', async () => {
    const folder = systemd.app('deleted', { 'app.js': EXPRESS })
    await systemd.lookout('unit', '--install', '-l', `${await freePort()}`, `${folder}/app.js`)
    fs.rmSync(systemd.path(folder), { recursive: true })
    expect(await systemd.lookout('unit', '--remove', `${folder}/app.js`)).to.deep.equal({
      code: 0,
      stdout: 'deleted is removed\n',
      stderr: '',
    })
  })

  it('--user: a manager of the user own has them, without root', async () => {
    await systemd.do('mkdir', '-p', '/run/user/0')
    await systemd.do(
      'systemd-run',
      '--unit=manager',
      '--setenv=XDG_RUNTIME_DIR=/run/user/0',
      '--setenv=HOME=/run',
      '/lib/systemd/systemd',
      '--user',
    )
    cleanups.push(async () => void (await systemd.do('systemctl', 'stop', 'manager')))
    await until('it runs', async () =>
      /running|degraded/.test((await systemd.run('systemctl', '--user', 'is-system-running')).stdout),
    )
    const folder = systemd.app('mine', { 'app.js': EXPRESS })
    const port = await freePort()
    const { stderr, code } = await systemd.lookout(
      'unit',
      '--install',
      '--user',
      '-l',
      `${port}`,
      '--idle',
      '1s',
      `${folder}/app.js`,
    )
    expect([code, stderr]).to.deep.equal([0, ''])
    const state = async () => (await systemd.run('systemctl', '--user', 'is-active', 'mine.service')).stdout.trim()
    expect(await state()).to.equal('inactive')
    expect((await request(`http://127.0.0.1:${port}`)).body).to.equal('hello')
    await until('at rest', async () => (await state()) === 'inactive')
    expect((await systemd.lookout('unit', '--remove', '--user', 'mine')).stdout).to.equal('mine is removed\n')
    expect(fs.existsSync(systemd.path('/run/.config/systemd/user/mine.socket'))).to.equal(false)
  })
})
