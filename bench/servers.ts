/** lookout and its peers, each started on an app of apps/, ready to be asked when `start` is over. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { posix } from '../dist/lib/posix.js'
import { BIN, childrenOf, until } from '../dist/test/support/lookout.js'
import {
  answers,
  app,
  ENV,
  family,
  freePort,
  HERE,
  listens,
  run,
  type Server,
  scratch,
  versionOf,
} from './processes.ts'

const PR_SET_CHILD_SUBREAPER = 36

export interface Options {
  app: string
  /** 1 unless told. */
  workers?: number
  /** lookout alone; ms, 0 unless told: never rests. */
  idle?: number
}

export interface Kind {
  name: string
  /** Its version; undefined where it is not on this machine. */
  version(): string | undefined
  start(options: Options): Promise<Server>
}

export const lookout: Kind = {
  name: 'lookout',
  version: () => versionOf(process.execPath, BIN, '--version'),
  async start({ app, workers = 1, idle = 0 }) {
    const port = await freePort()
    const args = ['-q', '--workers', String(workers), '--idle', `${idle}ms`, '--listen', `127.0.0.1:${port}`, app]
    const server = run(port, process.execPath, [BIN, ...args])
    await until('lookout rests', () => fs.readlinkSync(`/proc/${server.pid}/exe`) !== process.execPath)
    return server
  },
}

/** An app of `lookout up`, asked at its own port or by its name. */
function held(name: string, isNamed: boolean): Kind {
  return {
    name,
    version: lookout.version,
    async start({ app: script, workers = 1 }) {
      const [listen, gateway] = [await freePort(), await freePort()]
      const folder = fs.mkdtempSync(path.join(scratch, 'held-'))
      const apps = { bench: { script, listen, workers, idle: 0, quiet: true } }
      fs.writeFileSync(path.join(folder, 'lookout.config.json'), JSON.stringify({ gateway, apps }))
      const env = { XDG_RUNTIME_DIR: folder }
      const server = run(isNamed ? gateway : listen, process.execPath, [BIN, 'up', folder], { env, stderr: 'ignore' })
      await until('lookout rests', () => fs.readlinkSync(`/proc/${server.pid}/exe`) !== process.execPath)
      return isNamed ? { ...server, host: 'bench.localhost' } : server
    },
  }
}

export const byPort = held('lookout, by port', false)
export const byName = held('lookout, by name', true)

/** The resting program with so many apps, each with a socket, as it will be with many: nothing else of lookout's. */
export async function startMany(count: number): Promise<Server> {
  const server = run(0, process.execPath, [path.join(HERE, 'many.ts'), String(count), app('hello.cjs')])
  await until('the resting program', () => fs.readlinkSync(`/proc/${server.pid}/exe`) !== process.execPath)
  return server
}

export const node: Kind = {
  name: 'node',
  version: () => process.version,
  async start({ app }) {
    const port = await freePort()
    return answers(startNode(app, port))
  },
}

/** node, not waited for. */
export function startNode(app: string, port: number): Server {
  return run(port, process.execPath, [app], { env: { PORT: String(port) } })
}

function cluster(name: string, policy: 'rr' | 'none', reusePort = ''): Kind {
  return {
    name,
    version: () => process.version,
    async start({ app: script, workers = 1 }) {
      const port = await freePort()
      const env = { PORT: String(port), NODE_CLUSTER_SCHED_POLICY: policy, REUSE_PORT: reusePort }
      return answers(run(port, process.execPath, [app('cluster.cjs'), script, String(workers)], { env }))
    },
  }
}

export const clusterRoundRobin = cluster('node:cluster', 'rr')
export const clusterShared = cluster('node:cluster, shared', 'none')
/** A socket a worker: nothing is shared, and what waits for a worker that dies is lost. The most that can be had. */
export const clusterReusePort = cluster('node:cluster, SO_REUSEPORT', 'none', '1')

const PM2 = path.join(HERE, 'node_modules/pm2/bin/pm2')

export const pm2: Kind = {
  name: 'pm2 cluster',
  version: () => JSON.parse(fs.readFileSync(path.join(HERE, 'node_modules/pm2/package.json'), 'utf8')).version, // asked, it would start its daemon
  async start({ app, workers = 1 }) {
    const port = await freePort()
    const home = fs.mkdtempSync(path.join(scratch, 'pm2-'))
    const env = { ...ENV, PM2_HOME: home, PORT: String(port) }
    const command = (...args: string[]) => execFileSync(process.execPath, [PM2, ...args], { env, stdio: 'ignore' })
    command('start', app, '-i', String(workers))
    const pid = Number(fs.readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
    return answers({ port, pid, pids: () => family(pid), stop: async () => void command('kill') })
  },
}

export const systemdActivate: Kind = {
  name: 'systemd-socket-activate + node',
  version: () => versionOf('systemd-socket-activate', '--version'),
  async start({ app }) {
    const port = await freePort()
    const args = ['-l', `127.0.0.1:${port}`, process.execPath, app]
    const server = run(port, 'systemd-socket-activate', args, { stderr: 'ignore' }) // it tells of each connection
    await until('systemd-socket-activate waits', () => listens(port))
    return server
  },
}

export const inetd: Kind = {
  name: 'inetd + node',
  version: () => versionOf('inetd', '-?'),
  async start({ app }) {
    const port = await freePort()
    const file = path.join(scratch, `inetd-${port}.conf`)
    fs.writeFileSync(file, `127.0.0.1:${port} stream tcp wait root ${process.execPath} node ${app} inetd\n`)
    const server = run(port, 'inetd', ['-i', file])
    await until('inetd waits', () => listens(port))
    return server
  },
}

export const uwsgi: Kind = {
  name: 'uWSGI cheap (Python)',
  version: () => versionOf('uwsgi', '--version'),
  async start() {
    const port = await freePort()
    const options = ['--plugin', 'python3', '--wsgi-file', app('hello.wsgi'), '--master', '--cheap', '--idle', '1']
    const server = run(port, 'uwsgi', [
      '--http-socket',
      `127.0.0.1:${port}`,
      '--disable-logging',
      '--logto',
      '/dev/null',
      '--die-on-term',
      ...options,
    ])
    await until('uWSGI waits', () => listens(port))
    return server
  },
}

export const passenger: Kind = {
  name: 'Passenger + node',
  version: () => versionOf('passenger', '--version'),
  async start({ app: script }) {
    const port = await freePort()
    const folder = fs.mkdtempSync(path.join(scratch, 'passenger-'))
    const options = [
      '--engine',
      'builtin',
      '--app-type',
      'node',
      '--startup-file',
      script,
      '--nodejs',
      process.execPath,
    ]
    const resting = ['--min-instances', '0', '--pool-idle-time', '1', '--environment', 'production']
    const quiet = ['--disable-security-update-check', '--disable-anonymous-telemetry', '--log-file', '/dev/null']
    const where = ['--address', '127.0.0.1', '--port', String(port), '--pid-file', path.join(folder, 'pid')]
    posix.prctl(PR_SET_CHILD_SUBREAPER, 1) // its agents leave it, and are to come to us
    const before = new Set(childrenOf(process.pid))
    const server = run(port, 'passenger', ['start', folder, ...options, ...resting, ...quiet, ...where])
    const pids = () =>
      childrenOf(process.pid)
        .filter(pid => !before.has(pid))
        .flatMap(family)
    return answers({ ...server, pids })
  },
}
