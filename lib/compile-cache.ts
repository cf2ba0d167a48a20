/**
 * V8's compiled code, kept over wakes (Node 22.1 and later): an app that was awake before need not be compiled again.
 * Node reads NODE_COMPILE_CACHE as it starts, before there is any code of ours, and checks each entry against its source.
 */
import { cacheFolder } from './cache-folder.js'

/** What Node has since 22.1 and 22.10, and its types do not yet. */
type Module = { enableCompileCache?(folder: string): void; flushCompileCache?(): void }

/** For this process, before it loads what it is about to; where the user has a folder, Node uses that by itself. */
export function keepCompiled(env: NodeJS.ProcessEnv): void {
  const folder = env.NODE_COMPILE_CACHE === undefined ? cacheFolder(env) : undefined
  if (folder !== undefined) (require('node:module') as Module).enableCompileCache?.(folder)
}

/** Writes what was compiled until now: this process ends in a way that leaves Node no time for it. */
export function writeCompiled(): void {
  ;(require('node:module') as Module).flushCompileCache?.()
}

/** ms after the app listens: what it loads with its first requests is in it, too. */
const SETTLED = 1000

/** Writes what was compiled once the app has settled: the process may be killed before Node does so at its exit. */
export function saveCompiled(): void {
  setTimeout(writeCompiled, SETTLED).unref()
}
