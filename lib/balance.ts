/**
 * Which worker takes a connection that all of them see: one that has clearly fewer. Each says in shared memory how many it
 * has. Who declines looks again at the next turn of its event loop, microseconds later, and takes the connection when
 * nobody else has come for it: a peer may be busy.
 */
import { now } from './clock.js'
import { Field, type Words } from './slot.js'

/** How many more than a peer's are clearly more: that part of them, or any while they are few. */
const SHARE = 16
/** ms for which a connection is left to the peers, before it is taken all the same. */
const PATIENCE = 1

export class Balance {
  /** Since when the one that waits now has been declined, ms; 0: it has not. */
  #since = 0

  readonly #peers = new Set<Words>()

  constructor(
    private readonly own: Words,
    private readonly clock = now,
  ) {}

  /** Another worker is there. Those that are gone meanwhile, whose slots are nobody's, are forgotten. */
  meet(peer: Words): void {
    for (const other of this.#peers) if (other[Field.pid] === 0) this.#peers.delete(other)
    this.#peers.add(peer)
  }

  /** Whether to take the connection that waits. */
  admit(): boolean {
    if (this.#hasMore()) {
      const time = this.clock()
      if (this.#since === 0) this.#since = time
      if (time - this.#since < PATIENCE) return false
    }
    this.#since = 0
    return true
  }

  #hasMore(): boolean {
    const mine = this.own[Field.connections]!
    for (const peer of this.#peers) {
      const theirs = peer[Field.connections]!
      if (peer[Field.accepting] === 1 && mine > theirs + Math.floor(theirs / SHARE)) return true
    }
    return false
  }
}
