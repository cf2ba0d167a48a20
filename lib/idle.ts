/** When an app is idle: one fact about the whole app. A policy, handed the clock. Times in ms, monotonic. */
export class Idle {
  #active: number

  /** @param limit ms without work after which the app may rest; 0: never */
  constructor(
    private readonly limit: number,
    started: number,
  ) {
    this.#active = started
  }

  /** Something had work at `time`. */
  touch(time: number): void {
    if (time > this.#active) this.#active = time
  }

  /** ms until the app may rest, if nothing happens; 0: now; Infinity: never. */
  remaining(now: number): number {
    return this.limit === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.#active + this.limit - now)
  }
}

/** ms between a worker's looks at what it is doing: a tenth of --idle, so that rest comes about when it should. */
export function checkInInterval(limit: number): number {
  return limit === 0 ? 1000 : Math.min(1000, Math.max(10, limit / 10))
}
