/**
 * The workers of one master: those that run, those that are wanted, and what is known of one that failed. A worker that is
 * replaced serves until the one that takes its place is ready; one that is stopping is no longer counted.
 */
import path from 'node:path'
import { Backoff } from './backoff.js'
import type { Board } from './board.js'
import { Changes, filesIn, placeIn } from './changes.js'
import { letBegin } from './channel.js'
import { duration, now } from './clock.js'
import type { AppConfig } from './config.js'
import { type Level, say, tracer } from './log.js'
import type { Failing } from './page.js'
import { type Launch, spawnWorker } from './spawn.js'
import { SLOTS, Stats } from './stats.js'
import { type Ending, type WorkerEvent, WorkerHandle } from './worker-handle.js'

const trace = tracer('fleet')

/** ms for which a worker that is to go leaves idle connections to its clients: longer than Node itself leaves them. */
export const PATIENCE = 6000

export interface FleetHooks {
  on(event: WorkerEvent): void
  /** A worker could not be started, which is no event of any. */
  unstartable(why: string): void
}

export class Fleet {
  /** How many are to run. */
  wanted: number
  readonly #workers = new Map<number, WorkerHandle>()
  readonly #backoff = new Backoff()
  readonly #changes = new Changes()
  readonly #stats = new Stats()
  #failure: Omit<Failing, 'name' | 'retryAfter'> = { what: 'it failed' }

  constructor(
    private readonly config: AppConfig,
    private readonly launch: Launch,
    private readonly board: Board,
    private readonly hooks: FleetHooks,
  ) {
    this.wanted = config.workers.least
    this.#changes.note([config.script])
  }

  /** Every one that is not dead. */
  get all(): WorkerHandle[] {
    return [...this.#workers.values()]
  }

  /** Those that serve, or are about to. */
  get active(): WorkerHandle[] {
    return this.all.filter(worker => worker.active)
  }

  get isReady(): boolean {
    return this.all.some(worker => worker.state === 'ready')
  }

  /** ms until another may be started. */
  get wait(): number {
    return this.#backoff.remaining(now())
  }

  /** What a visitor is told. */
  get failing(): Failing {
    return { name: this.config.name, ...this.#failure, retryAfter: Math.max(1, Math.ceil(this.wait / 1000)) }
  }

  /** Starts what is wanted and missing; one worker alone, until one is ready, and never more at once than can boot at once. */
  fill(): void {
    const counted = this.active.filter(({ replaces }) => !replaces?.active).length
    for (let missing = this.wanted - counted; missing > 0 && this.wait === 0 && this.#mayBoot(); missing--) {
      if (!this.#spawn()) return
    }
  }

  #mayBoot(): boolean {
    const booting = this.all.filter(({ state }) => state === 'starting').length
    return booting < (this.isReady ? cores() : 1)
  }

  /**
   * Starts another in a worker's place, which serves until then.
   * @returns false when none can be started now
   */
  replace(worker: WorkerHandle): boolean {
    if (this.wait > 0 || !this.#mayBoot() || !worker.active) return false
    if (this.all.some(({ replaces }) => replaces === worker)) return false
    return this.#spawn(worker) !== undefined
  }

  /**
   * Lets a worker finish what it has, and go.
   * @param reload another has taken its place
   */
  retire(worker: WorkerHandle, why: string, reload = false): void {
    if (!worker.active) return
    trace('%s retires: %s', worker.identity, why)
    worker.stop({ grace: this.config.grace, patience: PATIENCE, final: false, cut: false, reload })
  }

  /** Files that the app is made of: when one changes after a failure, the next try need not wait. */
  note(files: string[]): void {
    this.#changes.note(files)
  }

  /** Whether another try is due, or promising; then nothing is in its way. */
  mayRetry(): boolean {
    if (this.wait > 0 && !this.#changes.any()) return false
    this.retryNow()
    return true
  }

  retryNow(): void {
    this.#backoff.forget()
  }

  /** A worker has ended that was not asked to. */
  lost(worker: WorkerHandle, ending: Ending): void {
    const time = now()
    const { readyAt, fault } = worker
    if (readyAt === undefined) this.#backoff.bootFailed(time)
    else this.#backoff.crashed(time, time - readyAt)
    const how = 'code' in ending ? `exited with code ${ending.code}` : `was killed by signal ${ending.signal}`
    const when = readyAt === undefined ? 'before it listened' : `after ${duration(time - readyAt)}`
    const what = fault && readyAt === undefined ? 'the app failed to start' : `the app ${how} ${when}`
    const place = placeIn(fault?.stack ?? '', path.dirname(this.config.script))
    const at = place === '' ? '' : ` at ${place}`
    const cause = fault ? `: ${fault.message.split('\n', 1)[0]}` : ''
    this.#failure = { what, ...fault, output: worker.output }
    this.#changes.renew() // else what has changed once would be a reason for every try after that
    this.#changes.note(filesIn(fault?.stack ?? ''))
    this.board.add({ failures: 1 })
    if (readyAt === undefined) this.board.write({ bootError: `${what}${at}${cause}` })
    this.complain(`${worker.identity} ${how} ${when}${cause}`)
  }

  /** A worker is gone: what it served is added up. */
  remove(worker: WorkerHandle): void {
    this.#workers.delete(worker.id)
    this.board.add({ requests: worker.stats.requests })
    this.#stats.clear(worker.id)
  }

  /**
   * Takes over worker 0, which was started before us with these sockets.
   * @param since ms, monotonic: when that was
   */
  adopt(pid: number, channel: number, slot: number, since: number): void {
    this.#stats.adopt(0, slot)
    this.#join(0, pid, channel, since)
  }

  #join(id: number, pid: number, channel: number, since?: number, replaces?: WorkerHandle): WorkerHandle {
    if (this.config.user !== undefined) letBegin(channel)
    const on = (event: WorkerEvent) => this.#on(event)
    const worker = new WorkerHandle(id, pid, channel, this.#stats.slot(id), this.config.bootTimeout, on, since)
    worker.replaces = replaces
    this.#workers.set(id, worker)
    trace('%s started', worker.identity)
    this.hooks.on({ type: 'started', worker })
    return worker
  }

  #on(event: WorkerEvent): void {
    if (event.type === 'ready') this.#introduce(event.worker)
    this.hooks.on(event)
  }

  /** It and those that serve get to read how many connections the others have. */
  #introduce(worker: WorkerHandle): void {
    const peers = this.all.filter(({ state, id }) => state === 'ready' && id !== worker.id)
    const own = this.#stats.share(worker.id)
    for (const peer of peers) {
      const theirs = this.#stats.share(peer.id)
      if (own !== undefined) peer.meet(own)
      if (theirs !== undefined) worker.meet(theirs)
    }
  }

  /** Nobody is left. */
  close(): void {
    this.#stats.unmap()
  }

  #spawn(replaces?: WorkerHandle): WorkerHandle | undefined {
    const id = [...Array(SLOTS).keys()].find(slot => !this.#workers.has(slot))
    if (id === undefined) return undefined // those that are stopping will make room
    try {
      const { pid, channel } = spawnWorker(id, this.launch, this.#stats.fd(id))
      return this.#join(id, pid, channel, undefined, replaces)
    } catch (error) {
      const { message } = error as Error
      this.#backoff.bootFailed(now())
      this.#failure = { what: 'a worker could not be started', message }
      this.complain(`cannot start worker ${id}: ${message}`)
      this.board.write({ bootError: `a worker could not be started: ${message}` })
      this.hooks.unstartable(`a worker could not be started: ${message}`)
      return undefined
    }
  }

  complain(text: string, level: Level = 'error'): void {
    say(`master ${process.pid}`, text, level)
  }
}

/** node:os is not loaded before there is a second worker. */
function cores(): number {
  return (require('node:os') as typeof import('node:os')).availableParallelism()
}
