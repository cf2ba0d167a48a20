/**
 * Which worker takes a connection that all of them see: one that has clearly fewer. Each says in shared memory how many it
 * has. Who declines looks again at the next turn of its event loop, microseconds later, and takes the connection when
 * nobody else has come for it: a peer may be busy.
 */
import { now } from './clock.js'
import { Field, type Slot } from './stats.js'

/** How many more than a peer's are clearly more: that part of them, or any while they are few. */
const SHARE = 16
/** ms for which a connection is left to the peers, before it is taken all the same. */
const PATIENCE = 1

export class Balance {
  /** Since when the one that waits now has been declined, ms; 0: it has not. */
  #since = 0

  /** @param peers the slots of the other workers */
  constructor(
    private readonly own: Slot,
    private readonly peers: Slot[],
    private readonly clock = now,
  ) {}

  /** Whether to take the connection that waits. */
  admit(): boolean {
    if (this.peers.length > 0 && this.#hasMore()) {
      const time = this.clock()
      if (this.#since === 0) this.#since = time
      if (time - this.#since < PATIENCE) return false
    }
    this.#since = 0
    return true
  }

  #hasMore(): boolean {
    const mine = this.own[Field.connections]!
    for (const peer of this.peers) {
      const theirs = peer[Field.connections]!
      if (peer[Field.accepting] === 1 && mine > theirs + Math.floor(theirs / SHARE)) return true
    }
    return false
  }
}
