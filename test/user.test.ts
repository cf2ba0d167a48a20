/** --user and --group: root binds, and what is woken is somebody else, for good. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { letBegin } from '../lib/channel.js'
import { encode } from '../lib/config.js'
import { workerEnvironment } from '../lib/environment.js'
import { optionsOf } from '../lib/options.js'
import { workerArgv } from '../lib/plan.js'
import { posix } from '../lib/posix.js'
import { makeSlot } from '../lib/slot.js'
import { spawnWorker } from '../lib/spawn.js'
import { Activated, listening } from './support/activated.js'
import { request } from './support/client.js'
import { Folder } from './support/folder.js'
import { isReading } from './support/kernel.js'
import { BIN, cleanups, fixture, Lookout, MARK, temporaryFolder, until } from './support/lookout.js'
import { notRoot, skipWithout } from './support/missing.js'
import { nobody, openFolder, readable } from './support/nobody.js'

/** An app, where anybody can read it, that tells who it is, and whether it could be root again. */
const WHO = `const http = require('node:http')
const fs = require('node:fs')
const tried = call => { try { call(); return 'done' } catch (error) { return error.code } }
http.createServer((request, response) => {
  const board = fd => { try { return fs.readlinkSync(fd) } catch (error) { return error.code } }
  const master = '/proc/' + process.ppid
  response.end(JSON.stringify({
    ids: [process.getuid(), process.geteuid(), process.getgid(), process.getegid(), process.getgroups()],
    root: [tried(() => process.setuid(0)), tried(() => process.seteuid(0)), tried(() => process.setgid(0)), tried(() => process.setgroups([0]))],
    home: [process.env.HOME, process.env.USER, process.env.LOGNAME],
    master: tried(() => fs.readdirSync(master + '/fd')),
    own: fs.readdirSync('/proc/self/fd').map(fd => board('/proc/self/fd/' + fd)),
  }))
}).listen(3000)`

const status = (pid: number, field: string) =>
  new RegExp(`^${field}:\\s+(.*)$`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!

const [NAME, VALUE] = MARK.split('=') as [string, string]

/** What root is in, and nobody is not. */
const GROUPS = ['setpriv', '--groups', '0,1,2']

/** Of everybody's folder, for who runs it is not root. */
function app(): string {
  const folder = openFolder()
  fs.writeFileSync(path.join(folder, 'app.js'), WHO)
  return path.join(folder, 'app.js')
}

describe('--user', () => {
  before(function () {
    skipWithout(this, notRoot())
  })

  it('has master and workers be another, for good; lookout stays root', async () => {
    const { uid, gid, home } = nobody()
    const lookout = await Lookout.start(['--user', 'nobody', '--workers', '2', app()], {
      bin: readable(),
      under: GROUPS,
    })
    const said = JSON.parse((await request(lookout.url)).body)
    expect(said.ids).to.deep.equal([uid, uid, gid, gid, [gid]])
    expect(said.root).to.deep.equal(['EPERM', 'EPERM', 'EPERM', 'EPERM'])
    expect(said.home).to.deep.equal([home, 'nobody', 'nobody'])
    await until('two workers', () => lookout.workers.length === 2)
    for (const pid of [lookout.master!, ...lookout.workers]) {
      expect(status(pid, 'Uid').split('\t')).to.deep.equal(Array(4).fill(String(uid)))
      expect(status(pid, 'Gid').split('\t')).to.deep.equal(Array(4).fill(String(gid)))
      expect([status(pid, 'NoNewPrivs'), status(pid, 'CapEff')]).to.deep.equal(['1', '0000000000000000'])
    }
    expect(status(lookout.pid, 'Uid').split('\t')[0]).to.equal('0')
  })

  it('keeps the board from the app: no worker has it, or can look into its master', async () => {
    const lookout = await Lookout.start(['--user', 'nobody', app()], { bin: readable() })
    const { master, own } = JSON.parse((await request(lookout.url)).body)
    expect(master).to.equal('EACCES')
    expect(own.filter((file: string) => file.includes('memfd'))).to.deep.equal([])
  })

  it('has a worker wait with its app until nobody can look into the master', async () => {
    const file = path.join(temporaryFolder(), 'app.js')
    fs.writeFileSync(file, "require('node:fs').writeFileSync(__dirname + '/loaded', '')")
    const { listen, ...options } = optionsOf({ user: 'nobody' })
    const config = { ...options, name: 'app', script: file }
    const env = { ...workerEnvironment(process.env, []), [NAME]: VALUE, LOOKOUT_APP: encode(config) }
    const launch = { argv: workerArgv(file, []), env, groups: [], stdin: 0, apart: false }
    const slot = makeSlot()
    const { pid, channel } = spawnWorker(0, launch, slot)
    const pidfd = posix.pidfdOpen(pid)
    cleanups.push(async () => {
      posix.pidfdKill(pidfd, constants.signals.SIGKILL)
      await until('reaped', () => posix.pidfdReap(pidfd) !== undefined)
      for (const fd of [pidfd, channel, slot]) posix.close(fd)
    })
    await until('it reads its channel, which comes after no sockets', () => isReading(pid, 3))
    expect(fs.existsSync(path.join(path.dirname(file), 'loaded'))).to.equal(false)
    letBegin(channel)
    await until('the app is loaded', () => fs.existsSync(path.join(path.dirname(file), 'loaded')))
  })

  it('is a number as well, and --group another than its own', async () => {
    const lookout = await Lookout.start(['--user', String(nobody().uid), '--group', 'daemon', app()], {
      bin: readable(),
    })
    const { ids } = JSON.parse((await request(lookout.url)).body)
    expect(ids[2]).to.equal(1)
    expect(ids[4]).to.include(1)
    expect(ids[4]).not.to.include(0)
  })

  it('is restarted, killed and put to rest by lookout, who is another', async () => {
    const lookout = await Lookout.start(['--user', 'nobody', '--idle', '300ms', '--grace', '500ms', app()], {
      bin: readable(),
    })
    await request(lookout.url)
    const [worker] = lookout.workers
    process.kill(worker!, 'SIGKILL')
    await until('another', () => lookout.workers.some(pid => pid !== worker))
    expect(JSON.parse((await request(lookout.url)).body).ids[0]).to.equal(nobody().uid)
    await lookout.rests()
    expect((await request(lookout.url)).status).to.equal(200)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })

  it('has its log made for it', async () => {
    const log = path.join(openFolder(), 'log')
    const lookout = await Lookout.start(['--user', 'nobody', '--log', log, app()], { bin: readable() })
    await request(lookout.url)
    expect(fs.statSync(log).uid).to.equal(nobody().uid)
    await until('it says something', () => /worker 0 .* ready/.test(fs.readFileSync(log, 'utf8')))
  })

  it('is of each app of lookout up', async () => {
    const folder = await Folder.make()
    fs.chmodSync(folder.path, 0o755)
    fs.writeFileSync(path.join(folder.path, 'who.js'), WHO)
    folder.configure({ shop: { script: 'who.js', user: 'nobody' }, blog: { script: 'who.js', user: 'root' } })
    const lookout = await folder.up({}, { bin: readable() })
    const ids = async (name: string) => JSON.parse((await request(folder.url(name))).body).ids[0]
    expect([await ids('shop'), await ids('blog')]).to.deep.equal([nobody().uid, 0])
    expect(lookout.stderr).not.to.include('as root')
    expect(folder.app('shop').requests, 'root is told').to.equal(1)
  })

  it('holds where the sockets are given, too', async () => {
    const { fd, url } = listening()
    const lookout = Activated.start(app(), { fds: [fd], args: ['--user', 'nobody'], bin: readable(), under: GROUPS })
    const { ids, root } = JSON.parse((await request(url)).body)
    const { uid, gid } = nobody()
    expect(ids).to.deep.equal([uid, uid, gid, gid, [gid]])
    expect(root).to.deep.equal(['EPERM', 'EPERM', 'EPERM', 'EPERM'])
    expect(status(lookout.child.pid!, 'NoNewPrivs')).to.equal('1')
  })

  it('is missed, where root runs the app: lookout says so, unless it is meant', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    expect(lookout.stderr).to.match(
      /^lookout \d+: runs the app as root \(--user NAME runs it as another, --user root says that this is meant\)$/m,
    )
    const meant = await Lookout.start(['--user', 'root', fixture('plain.js')])
    expect(meant.stderr).not.to.include('as root')
  })
})

describe('--user that cannot be', () => {
  const refusal = (args: string[], options: object = {}) => {
    const { status, stderr } = spawnSync(process.execPath, [BIN, ...args, fixture('plain.js')], {
      encoding: 'utf8',
      ...options,
    })
    return [status, stderr]
  }

  it('is refused in one line', () => {
    for (const [args, said] of [
      [['--user', 'no-such-user'], 'cannot use --user no-such-user: there is no such user'],
      [['--user', ''], 'cannot use --user : there is no such user'],
      [['--user', 'nobody', '--group', 'no-such'], 'cannot use --group no-such: there is no such group'],
      [['--group', 'daemon'], 'cannot use --group daemon: it goes with --user'],
    ] as const)
      expect(refusal(['-l', 'localhost:0', ...args])).to.deep.equal([2, `lookout: ${said}\n`])
  })

  it('is for root to say', function () {
    skipWithout(this, notRoot())
    const env = { ...process.env, NODE_V8_COVERAGE: '' } // who is another could not write it
    const [, said] = refusal(['-l', 'localhost:0', '--user', 'daemon'], { uid: 65534, gid: 65534, env })
    expect(said).to.equal('lookout: cannot run as daemon: root is needed to become another user\n')
  })
})
