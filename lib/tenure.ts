/** A master's time, as the board has it: from the first answer, or half a second, to its end, or until another takes its place. */
import type { Board } from './board.js'

export class Tenure {
  #hasBegun = false
  #answered = false

  /** @param woken ms, monotonic: when lookout saw the first connection */
  constructor(
    private readonly board: Board,
    private readonly woken: number,
  ) {}

  /** What can wait until the first answer is out. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    const { pid, wakes, failures, restartsBegun } = this.board.read()
    const killed = pid === 0 ? 0 : 1 // the one before us did not say that it went
    const counts = { wakes: wakes + 1, failures: failures + killed, restartsEnded: restartsBegun }
    this.board.write({ pid: process.pid, ...counts, changedAt: Date.now(), why: 'it boots' })
  }

  /** @param at ms, monotonic: when a worker's first request was answered; the first of all counts */
  answered(at: number): void {
    if (!this.#answered) this.board.write({ latency: at - this.woken })
    this.#answered = true
  }

  /** Another has our slot of the board: what we know is in it, and nothing more of ours will be. */
  handOn(requests: number): void {
    this.begin()
    this.board.add({ requests })
    this.board.write({ pid: 0 })
    this.board.leave()
  }

  end(why: string): void {
    this.begin()
    this.board.write({ pid: 0, why, changedAt: Date.now() })
  }
}
