/** Preforked processes for any protocol over TCP or unix sockets. After parallel_server's Prefork. */
import net from 'node:net'
import { FOREVER } from './clock.js'
import { healthy, unhealthy } from './health.js'
import { type Hooks, run } from './hooks.js'
import type { Host } from './host.js'
import { membership } from './membership.js'
import type { PoolStats } from './supervision.js'

/** Times are in seconds, as parallel_server has them. */
export interface PreforkOptions extends Hooks {
  /** Processes that are always there: 5. */
  minProcesses?: number
  /** Processes at most: 20. */
  maxProcesses?: number
  /** Connections that a process serves at a time: 1. */
  maxThreads?: number
  /** Connections for which there is to be room, as long as maxProcesses allows: 5. */
  standbyThreads?: number
  /** Connections that may wait to be accepted: what the system allows. */
  listenBacklog?: number
  /** For how long there must be too many processes before some that have served go: 10; 0: they stay. */
  maxIdle?: number
  /** Connections after which a process is replaced: 1000; 0: never. */
  maxUse?: number
  /** For how long a process's event loop may hang: 600; 0: for ever. */
  watchdogTimer?: number
  /** What a process that hangs gets; a minute later it is killed: 'TERM'. */
  watchdogSignal?: string
}

/** A port; a unix socket's path; a server that listens, or a listening descriptor, which are taken over; or several of these. */
export type PreforkSocket = number | string | net.Server | { fd: number } | (net.Server | { fd: number })[]

/** Where a connection comes from. */
export interface PreforkAddress {
  /** undefined for a unix socket, as the next. */
  address: string | undefined
  port: number | undefined
}

/** The process that serves a connection. */
export interface PreforkChild {
  id: number
  pid: number
  /** Whether the process that started it is gone. */
  readonly orphaned: boolean
  healthy: typeof healthy
  unhealthy: typeof unhealthy
}

/**
 * Serves one connection. When it returns a promise the connection is ended once that is settled; otherwise it is the handler's to end.
 * What it throws is given to onError, and ends the connection.
 */
export type PreforkHandler = (socket: net.Socket, address: PreforkAddress, child: PreforkChild) => unknown

/** How many a script has made, to be told apart by the processes that run the script again. */
let made = 0

/**
 * A pool of processes, each of which runs this script again and serves connections with its handler. What the script does before
 * start() is done in each of them.
 *
 * @example
 * const prefork = new Prefork(12345, { maxProcesses: 100, maxIdle: 100 })
 * await prefork.start(async (socket, address, child) => {
 *   socket.write(`hello ${address.address}, this is ${child.pid}\n`)
 * })
 */
export class Prefork {
  readonly #number = made++
  readonly #socket: PreforkSocket
  readonly #host: string | undefined
  #options: PreforkOptions
  #running: Promise<Host> | undefined

  /** Binds nothing yet. With a host, the port is bound on its addresses; without, on every address of the machine. */
  constructor(socket: PreforkSocket, options?: PreforkOptions)
  constructor(host: string, port: number, options?: PreforkOptions)
  constructor(first: PreforkSocket, second: number | PreforkOptions = {}, third: PreforkOptions = {}) {
    const named = typeof second === 'number'
    this.#host = named ? (first as string) : undefined
    this.#socket = named ? second : first
    this.#options = named ? third : second
  }

  /**
   * In the process that was started first: starts the others, and resolves when they were stopped. In each of those: serves; it
   * never resolves.
   * @throws Misuse for an option that cannot be, Failure where an address is taken or no process comes to listen
   */
  async start(handler: PreforkHandler): Promise<void> {
    const child = membership()
    if (child) {
      if (child.prefork === this.#number) serve(handler, child, this.#options)
      return new Promise(() => {})
    }
    const { startPrefork } = require('./start-prefork.js') as typeof import('./start-prefork.js')
    this.#running ??= startPrefork(this.#number, this.#socket, this.#host, this.#options)
    const host = await this.#running
    try {
      await host.start()
      await host.ended
    } finally {
      this.#running = undefined
    }
  }

  /**
   * Gives it other options, or other sockets as well, while it runs: processes that have them take the places of those that have
   * not, which finish what they have.
   * @throws Failure with the reason: the others go on as they are
   */
  reload(options: PreforkOptions): Promise<void>
  reload(socket: PreforkSocket, options?: PreforkOptions): Promise<void>
  async reload(first: PreforkSocket | PreforkOptions, options: PreforkOptions = {}): Promise<void> {
    const host = await this.#started()
    const { configOf, socketsOf, isSocket } = require('./start-prefork.js') as typeof import('./start-prefork.js')
    const socket = isSocket(first) ? first : undefined
    const wanted = { ...this.#options, ...(socket === undefined ? (first as PreforkOptions) : options) }
    const config = configOf(this.#number, wanted)
    await host.reload(config, socket === undefined ? undefined : await socketsOf(socket, undefined, wanted))
    this.#options = wanted
  }

  /** Accepts no more and waits until every connection is served. */
  async stop(): Promise<void> {
    await (await this.#started()).stop(FOREVER)
  }

  /** Ends all processes at once, whatever they are doing. */
  async stopNow(): Promise<void> {
    await (await this.#started()).stopNow()
  }

  /** The processes accept no more, serve what they have and go, even after this one has ended: start() resolves at once. */
  async detachChildren(): Promise<void> {
    await (await this.#started()).detach()
  }

  /** The processes, and what has become of them so far. */
  async stats(): Promise<PoolStats> {
    return (await this.#started()).pool.supervise().stats
  }

  #started(): Promise<Host> {
    if (!this.#running) throw new Error('the prefork was not started')
    return this.#running
  }
}

/** In a child: the preload gives a server each of the sockets, in order, and counts its connections. */
function serve(
  handler: PreforkHandler,
  { id, addresses, isOrphaned, hooks: preload }: NonNullable<ReturnType<typeof membership>>,
  hooks: Hooks,
): void {
  Object.assign(preload, onlyHooks(hooks))
  run(hooks, 'onStart')
  const child: PreforkChild = {
    id,
    pid: process.pid,
    healthy,
    unhealthy,
    get orphaned() {
      return isOrphaned()
    },
  }
  const connected = async (socket: net.Socket) => {
    socket.on('error', () => {}) // of the connection, which ends with it
    const { remoteAddress: address, remotePort: port } = socket
    try {
      const result = handler(socket, { address, port }, child)
      if (!(result instanceof Promise)) return
      await result
    } catch (error) {
      if (!hooks.onError) console.error(error)
      run(hooks, 'onError', error, undefined)
    }
    if (!socket.destroyed) socket.end()
  }
  for (let address = 0; address < addresses; address++) net.createServer(connected).listen()
}

/** What the preload calls in a child. */
function onlyHooks({ onReload, onError }: Hooks): Hooks {
  return { ...(onReload && { onReload }), ...(onError && { onError }) }
}
