/** What an app says of its own health. After Karafka's Swarm::Node. */

/** Shared by every copy of this module in the process: the app's own and the one lookout loads. */
const KEY = Symbol.for('lookout.health')

function state(): { code: number } {
  const global = globalThis as { [KEY]?: { code: number } }
  global[KEY] ??= { code: 0 }
  return global[KEY]
}

/** 0: well; else the highest code given to {@link unhealthy} since the app was last {@link healthy}. */
export function status(): number {
  return state().code
}

/** Says that this worker is well, whatever it said before. */
export function healthy(): void {
  state().code = 0
}

/**
 * Says that this worker should be replaced: another is started, and once that is ready this one finishes what it has and ends.
 *
 * Under plain node it does nothing, so an app may always call it.
 *
 * @param code 1 to 255, shown where one asks why; the highest counts
 * @throws RangeError for any other code
 * @example
 * pool.on('error', () => unhealthy(2))
 */
export function unhealthy(code = 1): void {
  if (!Number.isInteger(code) || code < 1 || code > 255) throw new RangeError(`a code is 1 to 255, not ${code}`)
  state().code = Math.max(state().code, code)
}
