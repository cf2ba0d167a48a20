/**
 * V8's compiled code, kept over wakes (Node 22.1 and later): an app that was awake before need not be compiled again.
 * Node reads NODE_COMPILE_CACHE as it starts, before there is any code of ours, and checks each entry against its source.
 */

/** What Node has since 22.10, and its types do not yet. */
type Module = { flushCompileCache?(): void }

/** ms after the app listens: what it loads with its first requests is in it, too. */
const SETTLED = 1000

/** Writes what was compiled once the app has settled: the process may be killed before Node does so at its exit. */
export function saveCompiled(): void {
  setTimeout(() => (require('node:module') as Module).flushCompileCache?.(), SETTLED).unref()
}
