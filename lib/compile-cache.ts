/**
 * V8's compiled code, kept over wakes (Node 22.1 and later): an app that was awake before need not be compiled again.
 * Imported by the worker before all else. Node checks each entry against its source.
 */
import module from 'node:module'

/** What Node has since 22.1 and 22.10, and its types do not yet. */
const { enableCompileCache, flushCompileCache } = module as unknown as {
  enableCompileCache?(folder: string): unknown
  flushCompileCache?(): void
}

/** ms after the app listens: what it loads with its first requests is in it, too. */
const SETTLED = 1000

const folder = process.env.LOOKOUT_CACHE
if (folder !== undefined) enableCompileCache?.(folder)

/** Writes what was compiled once the app has settled: the process may be killed before Node does so at its exit. */
export function saveCompiled(): void {
  if (folder !== undefined && flushCompileCache) setTimeout(flushCompileCache, SETTLED).unref()
}
