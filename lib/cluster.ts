/** A pool of workers that runs an app, in a program of the user's own. After Raptor's Cluster. */
import type { Hooks } from './hooks.js'
import type { Host } from './host.js'
import type { PoolStats } from './supervision.js'

/**
 * Times, sizes and addresses are written as on the command line ('30s', '512M', 'localhost:3000'); a number is in ms, or bytes.
 * What is missing is what it is there. See lookout(1).
 */
export interface ClusterOptions extends Pick<Hooks, 'onWorkerStart' | 'onWorkerExit'> {
  /** A file that node can run, or a folder whose package.json names one. */
  app: string
  /** The app's own arguments. */
  args?: string[]
  /** One address or several; 'localhost:3000' where it is missing. */
  listen?: string | number | (string | number)[]
  /** N, 'auto' or 'MIN:MAX'. */
  workers?: number | string
  name?: string
  maxConnections?: number
  standby?: number
  maxIdle?: number | string
  maxUse?: number
  maxRss?: number | string
  maxLifetime?: number | string
  watchdog?: number | string
  watchdogSignal?: string
  grace?: number | string
  bootTimeout?: number | string
  firstDataTimeout?: number | string
  headerTimeout?: number | string
  requestTimeout?: number | string
  keepAliveTimeout?: number | string
  backlog?: number
  deferAccept?: boolean
  /** Octal, as '660'. */
  socketMode?: string
  statsFile?: string
  /** A module with further hooks, for the workers: a function could not reach them. */
  hooks?: string
  /** Says nothing but failures on stderr. */
  quiet?: boolean
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU'] as const

/**
 * Runs an app in preforked workers that share its listening sockets, as `lookout` does, but never rests.
 *
 * @example
 * const cluster = new Cluster({ app: './app.js', listen: 'localhost:3000', workers: 4 })
 * await cluster.run() // until TERM or INT
 */
export class Cluster {
  #host: Host | undefined
  #starting: Promise<Host> | undefined

  constructor(private readonly options: ClusterOptions) {}

  /**
   * Starts it.
   * @returns once a worker listens: the addresses, as a client would be told
   * @throws Misuse for an option that cannot be, Failure where an address is taken or the app does not start
   */
  async start(): Promise<string[]> {
    const { startCluster } = require('./start-cluster.js') as typeof import('./start-cluster.js')
    this.#starting ??= startCluster(this.options)
    try {
      this.#host = await this.#starting
      return this.#host.urls
    } catch (error) {
      this.#starting = undefined
      throw error
    }
  }

  /**
   * Starts it and serves until SIGTERM or SIGINT, which let everybody finish, or {@link stop}. Meanwhile SIGUSR1 writes the
   * statistics on stderr, SIGUSR2 restarts the workers, SIGTTIN and SIGTTOU are for one more and one fewer.
   * @throws as start()
   */
  async run(): Promise<void> {
    await this.start()
    const host = this.#host!
    const obey = (signal: NodeJS.Signals) => this.#obey(host, signal)
    for (const signal of SIGNALS) process.on(signal, obey)
    await host.ended
    for (const signal of SIGNALS) process.off(signal, obey)
    this.#starting = undefined
  }

  #obey(host: Host, signal: NodeJS.Signals): void {
    const { fleet } = host.pool
    switch (signal) {
      case 'SIGUSR1':
        return host.pool.sayStats()
      case 'SIGUSR2':
        host.pool.restart.begin()
        return host.pool.reconcile()
      case 'SIGTTIN':
        return host.pool.want(fleet.wanted + 1)
      case 'SIGTTOU':
        return host.pool.want(fleet.wanted - 1)
      default:
        void host.stop()
    }
  }

  /** What `--stats-file` would tell: the workers, and what has become of the app so far. */
  stats(): PoolStats {
    return this.#running.pool.supervise().stats
  }

  /**
   * Replaces the workers one by one by such that have loaded the app anew; no request fails for it.
   * @returns what was done, in a sentence
   * @throws Failure with the reason: the others serve as before
   */
  restart(): Promise<string> {
    return this.#running.restart()
  }

  /** Accepts no more, lets everybody finish, for `grace` ms at most. */
  async stop(grace?: number): Promise<void> {
    const host = await this.#starting?.catch(() => undefined)
    await host?.stop(grace)
    this.#starting = undefined
  }

  get #running(): Host {
    if (!this.#host) throw new Error('the cluster was not started')
    return this.#host
  }
}
