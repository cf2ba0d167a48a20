/**
 * Decides when the app rests. Workers say in shared memory when they last had work; when that is long enough ago, they are
 * quieted (they stop accepting) and look exactly. Only if there is nothing then, and nobody waits, it is idle. A connection
 * meanwhile waits in the queue.
 */
import { duration, now } from './clock.js'
import { checkInInterval, Idle } from './idle.js'
import { say, tracer } from './log.js'
import { posix } from './posix.js'
import { doorsOf, type Group } from './sockets.js'
import type { WorkerHandle } from './worker-handle.js'

const trace = tracer('rest')

/** ms that workers have to answer whether they are idle; who does not answer is busy. */
const ANSWER = 1000

export interface RestHooks {
  workers(): WorkerHandle[]
  /** Nobody is to be accepted until `resumed` or `idle`. */
  quieted(): void
  resumed(): void
  idle(): void
  /** Until when it is to stay awake though it is idle, in words; undefined where it need not. */
  awakeUntil(): string | undefined
}

export class Rest {
  readonly #idle: Idle
  readonly #interval: number
  #state: 'waiting' | 'looking' | 'over' = 'waiting'
  #asked = new Set<WorkerHandle>()
  #timer: NodeJS.Timeout | undefined
  /** Quiet until {@link release}: an operator wants it. */
  #held = false

  constructor(
    private readonly limit: number,
    private readonly groups: Group[],
    private readonly hooks: RestHooks,
  ) {
    this.#idle = new Idle(limit, now())
    this.#interval = checkInInterval(limit)
  }

  get isLooking(): boolean {
    return this.#state === 'looking'
  }

  touch(): void {
    this.#idle.touch(now())
  }

  /** When it may rest, as far as is known, in words. */
  get prospect(): string {
    if (this.#held) return 'it is quiet until SIGCONT'
    if (this.limit === 0) return 'it never rests'
    const until = this.hooks.awakeUntil()
    return until ? `it is kept awake until ${until}` : `rests in ${duration(this.#idle.remaining(now()))}`
  }

  /** Nobody is accepted until {@link release}, and the app does not rest either: who waits would wake it again. */
  hold(): void {
    this.#held = true
    this.hooks.quieted()
    for (const worker of this.hooks.workers()) worker.quiet()
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    this.touch()
    if (this.#state === 'waiting') this.#resume()
  }

  /** A worker listens since now. */
  joined(worker: WorkerHandle): void {
    if (this.#held) worker.quiet()
  }

  /** Waits for as long as it may take; armed from the master's start. */
  arm(): void {
    clearTimeout(this.#timer)
    if (this.limit === 0 || this.#state !== 'waiting' || this.#held) return
    const time = now()
    const stale = 4 * this.#interval + 100
    for (const worker of this.hooks.workers()) this.#idle.touch(Math.min(time, worker.lastActive(stale)))
    const remaining = this.#idle.remaining(time)
    if (remaining === 0 && this.hooks.awakeUntil()) this.#timer = setTimeout(() => this.arm(), this.#interval)
    else if (remaining > 0) this.#timer = setTimeout(() => this.arm(), Math.max(1, Math.min(remaining, this.#interval)))
    else this.#look()
  }

  /** There is nothing left to decide. */
  end(): void {
    this.#state = 'over'
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#state = 'looking'
    this.hooks.quieted()
    this.#asked = new Set(this.hooks.workers())
    for (const worker of this.#asked) worker.quiet()
    this.#timer = setTimeout(() => this.#resume(), ANSWER)
    if (this.#asked.size === 0) this.#looked()
  }

  /** A worker has looked; one that ended has no work either. */
  answered(worker: WorkerHandle, active = 0, why: string[] = []): void {
    if (this.#state !== 'looking') return
    if (why.length > 0) trace('%s is busy: %o', worker.identity, why)
    this.#idle.touch(Math.min(now(), active))
    this.#asked.delete(worker)
    if (this.#asked.size === 0) this.#looked()
  }

  /** Everybody has answered. Work, or somebody who waits to be accepted: go on. */
  #looked(): void {
    const workers = this.hooks.workers()
    const served = new Set(workers.flatMap(worker => worker.served))
    for (const [index, group] of this.groups.entries()) {
      if (!doorsOf(group).some(fd => posix.readable(fd) > 0)) continue
      if (served.has(index) || workers.length === 0) this.touch()
      else turnAway(group)
    }
    if (this.#held || this.#idle.remaining(now()) > 0) return this.#resume()
    this.end()
    this.hooks.idle()
  }

  #resume(): void {
    if (this.#asked.size > 0) this.touch() // who does not answer is busy
    this.#asked.clear()
    this.#state = 'waiting'
    if (this.#held) return
    for (const worker of this.hooks.workers()) worker.resume()
    this.hooks.resumed()
    this.arm()
  }
}

/** The app does not listen there: who connects would wait for ever, and keep it awake, or wake it again and again. */
function turnAway(group: Group): void {
  const { path, port } = group
  for (const waiting of doorsOf(group)) {
    for (let fd = posix.accept(waiting); fd >= 0; fd = posix.accept(waiting)) posix.close(fd)
  }
  say(`master ${process.pid}`, `closed connections to ${path ?? `port ${port}`}: the app does not listen there`)
}
