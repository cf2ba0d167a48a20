/** What code in a worker may know of it: told by the preload, asked by the library, which is another copy of this module. */

import type { Hooks } from './hooks.js'

const KEY = Symbol.for('lookout.worker')

export interface Membership {
  /** The number of its slot. */
  id: number
  /** Which Prefork of its script it is a child of; undefined: it runs an app. */
  prefork: number | undefined
  /** How many addresses it listens on. */
  addresses: number
  /** Their sockets, as descriptors: the preload's. */
  sockets: number[]
  /** Says that it serves, where no listen() does. */
  ready(): void
  /** Keeps the app awake until the returned function is called. */
  hold(reason: string): () => void
  /** What is called in it: more may be added. */
  hooks: Hooks
  /** Whether its master is gone. */
  isOrphaned(): boolean
}

export function introduce(membership: Membership): void {
  ;(globalThis as { [KEY]?: Membership })[KEY] = membership
}

/** undefined in a process that is no worker. */
export function membership(): Membership | undefined {
  return (globalThis as { [KEY]?: Membership })[KEY]
}
