/** How a Prefork comes to life: loaded in the process that was started first. */
import net from 'node:net'
import path from 'node:path'
import { parseAddress } from './address.js'
import type { AppConfig } from './config.js'
import { Misuse } from './errors.js'
import { checkHooks } from './hooks.js'
import { Host, type Listening, listenOn } from './host.js'
import { addressesOf, optionsOf } from './options.js'
import { WORKER_OPTIONS } from './plan.js'
import { posix } from './posix.js'
import type { PreforkOptions, PreforkSocket } from './prefork.js'
import { groupOf } from './sockets.js'

/** ms from the watchdog's signal to the end. */
const LADDER = 60_000

/** What the system allows, as listen(2) cuts it down to that. */
const SYSTEM = 65_535

/** @throws Misuse, Failure */
export async function startPrefork(
  number: number,
  socket: PreforkSocket,
  host: string | undefined,
  options: PreforkOptions,
): Promise<Host> {
  const { onStart, onReload, onWorkerStart, onWorkerExit, onError } = options
  const hooks = checkHooks({ onStart, onReload, onWorkerStart, onWorkerExit, onError }, 'Prefork')
  const config = configOf(number, options)
  const node = process.execArgv.filter(option => !option.startsWith('--inspect')) // its port is taken
  const argv = [process.execPath, ...node, ...WORKER_OPTIONS, config.script, ...process.argv.slice(2)]
  return new Host(config, argv, await socketsOf(socket, host, options), hooks)
}

/** @throws Misuse naming the option */
export function configOf(number: number, options: PreforkOptions): AppConfig {
  const {
    minProcesses = 5,
    maxProcesses = 20,
    maxThreads = 1,
    standbyThreads = 5,
    maxIdle = 10,
    maxUse = 1000,
  } = options
  const { watchdogTimer = 600, watchdogSignal = 'TERM' } = options
  for (const [name, value, least] of [
    ['minProcesses', minProcesses, 1],
    ['maxProcesses', maxProcesses, 1],
    ['maxThreads', maxThreads, 1],
    ['standbyThreads', standbyThreads, 0],
    ['maxIdle', maxIdle, 0],
    ['maxUse', maxUse, 0],
    ['watchdogTimer', watchdogTimer, 0],
  ] as const) {
    if (!(value >= least)) throw new Misuse(`cannot use ${name}: a number from ${least} is wanted, not ${value}`)
  }
  const { listen, backlog, deferAccept, socketMode, pidFile, ...rest } = optionsOf({
    workers: `${minProcesses}:${maxProcesses}`,
    maxConnections: maxThreads,
    standby: standbyThreads,
    maxIdle: maxIdle * 1000,
    maxUse,
    watchdog: watchdogTimer * 1000,
    watchdogSignal,
    grace: LADDER,
    idle: 0,
    quiet: true,
  })
  const script = path.resolve(process.argv[1] ?? '')
  return { ...rest, name: path.basename(script), script, prefork: number }
}

export function isSocket(value: unknown): value is PreforkSocket {
  return (
    typeof value === 'number' ||
    typeof value === 'string' ||
    Array.isArray(value) ||
    value instanceof net.Server ||
    (typeof value === 'object' && value !== null && 'fd' in value)
  )
}

/** @throws Misuse, Failure naming the address, the error and who holds it */
export async function socketsOf(
  socket: PreforkSocket,
  host: string | undefined,
  { listenBacklog = SYSTEM }: PreforkOptions,
): Promise<Listening> {
  if (typeof socket === 'number' || typeof socket === 'string') {
    const v6 = host?.includes(':') ? `[${host}]` : host
    const text = typeof socket === 'string' ? `unix:${socket}` : host === undefined ? `${socket}` : `${v6}:${socket}`
    return listenOn(addressesOf({ listen: [parseAddress(text)] }, {}), { backlog: listenBacklog, deferAccept: false })
  }
  const groups = [socket].flat().map(one => groupOf(takeOver(one)))
  const fds = groups.flatMap(group => group.fds)
  const close = () => {
    for (const fd of fds.splice(0)) posix.close(fd) // once
  }
  return {
    groups,
    urls: groups.map(({ port, path: file }) => (file === undefined ? `tcp:${port}` : `unix:${file}`)),
    close,
  }
}

/** A descriptor of our own; a server of Node's is closed, for it would accept. */
function takeOver(socket: net.Server | { fd: number }): number {
  const handle = socket as unknown as { _handle?: { fd: number } | null; fd?: number }
  const fd = socket instanceof net.Server ? handle._handle?.fd : handle.fd
  if (typeof fd !== 'number' || fd < 0) throw new Misuse('cannot use a socket that does not listen')
  const own = posix.dup(fd, 3)
  if (!posix.getsockopt(own, posix.SOL_SOCKET, posix.SO_ACCEPTCONN)) {
    posix.close(own)
    throw new Misuse('cannot use a socket that does not listen')
  }
  if (socket instanceof net.Server) socket.close()
  return own
}
