/** Parts of the limit in which a worker says something, and is looked at: so a hung one is found soon after it. */
const PARTS = 8

/** ms between two times that any worker says something, at most. */
const MOST = 1000

/** ms between two times that a worker says that it lives, at most. */
export function saysFor(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : Math.max(10, limit / PARTS)
}

/** ms between two looks, at most. */
export function looksFor(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : Math.max(10, limit / PARTS)
}

/** For how long a worker may say nothing: it may have hung since right after it last did. */
export function silenceFor(limit: number): number {
  return limit === 0 ? 0 : limit + Math.min(MOST, saysFor(limit))
}

/**
 * Which worker's event loop hangs. A policy, handed the clock. Times in ms, monotonic.
 *
 * A worker is judged by the looks that its master had at it, not by the clock: where the master itself was stopped, or the
 * machine suspended, no time has passed.
 */
export class Watchdog<W extends object> {
  #lookedAt: number
  readonly #silent = new WeakMap<W, { checkin: number; ms: number }>()

  /**
   * @param limit for how long a worker may say nothing; 0: for ever
   * @param interval between two looks, when all is well
   */
  constructor(
    private readonly limit: number,
    private readonly interval: number,
    time: number,
  ) {
    this.#lookedAt = time
  }

  /** One look at all workers, with their last check-ins: those that hang. */
  look(workers: { worker: W; checkin: number }[], time: number): W[] {
    if (this.limit === 0) return []
    const passed = Math.min(time - this.#lookedAt, 2 * this.interval)
    this.#lookedAt = time
    return workers
      .filter(({ worker, checkin }) => this.#add(worker, checkin, passed) >= this.limit)
      .map(({ worker }) => worker)
  }

  #add(worker: W, checkin: number, passed: number): number {
    const before = this.#silent.get(worker)
    const ms = before?.checkin === checkin ? before.ms + passed : 0
    this.#silent.set(worker, { checkin, ms })
    return ms
  }
}
