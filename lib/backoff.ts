/** When an app that failed may be started again. A policy, handed the clock. Times in ms, monotonic. */
const FIRST = 500
const LAST = 15_000
/** A worker that served this long was well: what ends it later is a new story. */
const WELL = 10_000

export class Backoff {
  #failures = 0
  /** Not before this time; 0: at once. */
  notBefore = 0

  /** The app did not come to listen. */
  bootFailed(now: number): void {
    this.#fail(now, Math.max(2, this.#failures + 1))
  }

  /** A worker that had listened ended unasked. The first time another takes its place at once. */
  crashed(now: number, uptime: number): void {
    this.#fail(now, uptime >= WELL ? 1 : this.#failures + 1)
  }

  #fail(now: number, failures: number): void {
    this.#failures = failures
    this.notBefore = failures === 1 ? now : now + Math.min(LAST, FIRST * 2 ** (failures - 2))
  }

  /** Something changed: the next try may come now. */
  forget(): void {
    this.notBefore = 0
  }

  remaining(now: number): number {
    return Math.max(0, this.notBefore - now)
  }
}
