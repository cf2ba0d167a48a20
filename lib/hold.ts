/** Work that lookout cannot see, which must keep the app awake. */

/** Shared by every copy of this module in the process: the app's own and the one lookout loads. */
const KEY = Symbol.for('lookout.holds')

type Holds = Set<{ reason: string }>

/** What is held now, with its reasons. */
export function holds(): Holds {
  const global = globalThis as { [KEY]?: Holds }
  global[KEY] ??= new Set()
  return global[KEY]
}

/**
 * Keeps the app awake until the returned function is called, whatever its connections do.
 *
 * Under plain node it does nothing, so an app may always call it.
 *
 * @param reason said where one asks why the app is awake
 * @returns the release; calling it again does nothing
 * @example
 * const release = hold('reindexing')
 * try { await reindex() } finally { release() }
 */
export function hold(reason = 'held'): () => void {
  const entry = { reason: String(reason) }
  holds().add(entry)
  return () => {
    holds().delete(entry)
  }
}
