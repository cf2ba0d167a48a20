/**
 * The workers of one app under supervision: as many as are wanted, replaced when they die, hang or are due. What a master, a
 * Cluster and a Prefork have in common; what they do besides comes in by {@link PoolHooks}.
 */
import type { Board } from './board.js'
import type { Stop } from './channel.js'
import { duration, now } from './clock.js'
import { type AppConfig, MAX_WORKERS } from './config.js'
import { Fleet } from './fleet.js'
import { type Hooks, run } from './hooks.js'
import { say, tracer } from './log.js'
import { Restart } from './restart.js'
import type { Launch } from './spawn.js'
import type { Supervision } from './supervision.js'
import { plural } from './text.js'
import type { Ending, WorkerEvent, WorkerHandle } from './worker-handle.js'

const trace = tracer('pool')

export interface PoolHooks {
  /** Something has happened, and was acted on. */
  on?(event: WorkerEvent): void
  /** No worker is to be started now. */
  isHeld?(): boolean
  /** There is no worker, and none may be started yet. */
  failing?(): void
  /** A worker could not be started. */
  unstartable?(why: string): void
  /** When the app may rest, in words; absent: never. */
  prospect?(): string
  /** How it is, in a line: about once a second. */
  told?(status: string): void
}

export class Pool {
  readonly fleet: Fleet
  readonly restart: Restart
  #supervision: Supervision | undefined
  #isEnding = false
  #retry: NodeJS.Timeout | undefined

  constructor(
    readonly config: AppConfig,
    private readonly launch: Launch,
    readonly board: Board,
    private readonly hooks: PoolHooks,
    private readonly userHooks: Hooks = {},
  ) {
    this.fleet = new Fleet(config, launch, board, {
      on: event => this.#on(event),
      unstartable: why => this.#unstartable(why),
    })
    this.restart = new Restart(this.fleet, board, text => this.say(text))
  }

  get isEnding(): boolean {
    return this.#isEnding
  }

  say(text: string): void {
    if (!this.config.quiet) say(`master ${process.pid}`, text)
  }

  /** What is looked at regularly: made when it is first needed, for nobody waits for it. */
  supervise(): Supervision {
    if (this.#supervision) return this.#supervision
    const { Supervision } = require('./supervision.js') as typeof import('./supervision.js')
    this.#supervision = new Supervision(this.config, this.fleet, this.board, this.launch.groups, {
      prospect: () => this.hooks.prospect?.() ?? 'it never rests',
      reconcile: () => this.reconcile(),
      told: status => this.hooks.told?.(status),
    })
    return this.#supervision
  }

  #on(event: WorkerEvent): void {
    const { worker } = event
    trace('%s %s', worker.identity, event.type)
    switch (event.type) {
      case 'started':
        run(this.userHooks, 'onWorkerStart', worker.pid)
        break
      case 'ready':
        this.say(`${worker.identity} ready in ${duration(now() - worker.startedAt)}`)
        if (worker.replaces) this.fleet.retire(worker.replaces, `${worker.identity} takes its place`, true)
        worker.replaces = undefined // else the newest would keep all that were before it
        this.restart.ready()
        break
      case 'late':
        worker.fault ??= { message: `It did not listen within ${duration(this.config.bootTimeout)}.` }
        worker.terminate()
        break
      case 'ended':
        this.fleet.remove(worker)
        run(this.userHooks, 'onWorkerExit', worker.pid, statusOf(event.ending))
        if (!event.asked && !this.#isEnding) this.#lost(worker, event.ending)
        break
    }
    this.hooks.on?.(event)
    if (event.type === 'ready' || event.type === 'ended') this.reconcile()
  }

  #unstartable(why: string): void {
    this.restart.unstartable(why)
    this.hooks.unstartable?.(why)
  }

  #lost(worker: WorkerHandle, ending: Ending): void {
    this.fleet.lost(worker, ending)
    if (worker.readyAt === undefined) this.restart.failed(worker, this.board.read().bootError)
  }

  /** Compares what is wanted with what runs. */
  reconcile(): void {
    if (this.#isEnding || this.hooks.isHeld?.()) return
    const { wait, isReady } = this.fleet
    clearTimeout(this.#retry)
    if (wait === 0) this.fleet.fill()
    else if (isReady) this.#retry = setTimeout(() => this.reconcile(), wait).unref()
    this.restart.proceed()
    if (this.fleet.active.length === 0) this.hooks.failing?.()
  }

  /** One worker more or fewer; the youngest goes. */
  want(count: number): void {
    this.fleet.wanted = Math.min(MAX_WORKERS, Math.max(1, count))
    this.#retireSurplus()
    this.say(`wants ${plural(this.fleet.wanted, 'worker')}`)
    this.reconcile()
  }

  #retireSurplus(): void {
    const counted = this.fleet.active.filter(({ replaces }) => !replaces?.active)
    const youngest = counted.sort((a, b) => b.startedAt - a.startedAt)
    for (const worker of youngest.slice(0, Math.max(0, counted.length - this.fleet.wanted))) {
      this.fleet.retire(worker, 'fewer workers are wanted')
    }
  }

  /** The statistics, on stderr. */
  sayStats(): void {
    say(`master ${process.pid}`, JSON.stringify(this.supervise().stats))
  }

  /** The configuration, or the sockets of what is started from now on, were changed under us. */
  reconfigured(): void {
    const { least, most } = this.config.workers
    this.fleet.wanted = Math.min(most, Math.max(least, this.fleet.wanted))
    this.#retireSurplus()
    this.#supervision?.end()
    this.#supervision = undefined
    this.supervise()
  }

  /** Nobody is looked after any more. */
  abandon(): void {
    this.#isEnding = true
    this.restart.leave()
    this.#supervision?.end()
  }

  /** Nobody is started any more; those that are there finish. Said again, the sooner of both holds. */
  end(how: Stop): void {
    this.#isEnding = true
    this.restart.leave()
    this.#supervision?.end()
    for (const worker of this.fleet.all) worker.stop(how)
  }
}

/** As a shell would say it: the exit code, or 128 and the signal. */
function statusOf(ending: Ending): number {
  return 'code' in ending ? ending.code : 128 + ending.signal
}
