/**
 * Which worker takes a connection that all of them see: one that has clearly fewer. Each says in shared memory how many it
 * has. Who declines looks again at the next turn of its event loop, microseconds later, and takes the connection when
 * nobody else has come for it: a peer may be busy.
 */
import { Field, type Slot } from './stats.js'

/** How many more than a peer's are clearly more: that part of them, or any while they are few. */
const SHARE = 16
/** Looks at one connection, before it is taken all the same. */
const PATIENCE = 30

export class Balance {
  #declined = 0

  /** @param peers the slots of the other workers */
  constructor(
    private readonly own: Slot,
    private readonly peers: Slot[],
  ) {}

  /** Whether to take the connection that waits. */
  admit(): boolean {
    if (this.peers.length === 0 || this.#declined >= PATIENCE || !this.#isBehind()) {
      this.#declined = 0
      return true
    }
    this.#declined++
    return false
  }

  #isBehind(): boolean {
    const mine = this.own[Field.connections]!
    for (const peer of this.peers) {
      const theirs = peer[Field.connections]!
      if (peer[Field.accepting] === 1 && mine > theirs + Math.floor(theirs / SHARE)) return true
    }
    return false
  }
}
