/** For --watch: tells which files the app loads, by require() and by import. */
import module from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { MessageChannel } from 'node:worker_threads'

/** ms in which files are gathered into one message. */
const GATHER = 50
/** ms between looks at require.cache, where Node has no hook for it. */
const SWEEP = 200

/** The hooks that Node before 22.15 runs in a thread of their own; a module's source, for it needs a URL. */
const THREAD_HOOKS = `
let port
export function initialize(data) { port = data.port; port.unref() }
export async function load(url, context, next) { port.postMessage(url); return next(url, context) }
`

type ModuleHooks = typeof module & {
  registerHooks?(hooks: {
    load(url: string, context: unknown, next: (url: string, context: unknown) => unknown): unknown
  }): void
  _load(...args: unknown[]): unknown
}

export function reportLoaded(send: (files: string[]) => void): void {
  let files: string[] = []
  const see = (url: string) => {
    if (!url.startsWith('file:') || url.startsWith(`file://${__dirname}`)) return
    if (files.push(fileURLToPath(url)) === 1) setTimeout(flush, GATHER).unref()
  }
  const flush = () => {
    if (files.length > 0) send(files)
    files = []
  }
  const { registerHooks } = module as unknown as ModuleHooks
  if (registerHooks) {
    registerHooks({
      load(url, context, next) {
        see(url)
        return next(url, context)
      },
    })
  } else {
    hookImports(see)
    sweepRequires(see)
  }
  process.on('exit', flush)
}

/** Node before 22.15: imports are seen from a thread. */
function hookImports(see: (url: string) => void): void {
  const { port1, port2 } = new MessageChannel()
  port1.on('message', see).unref()
  const data = { port: port2 }
  module.register(`data:text/javascript,${encodeURIComponent(THREAD_HOOKS)}`, { data, transferList: [port2] })
}

/** ... and what was required is found in the cache. */
function sweepRequires(see: (url: string) => void): void {
  const seen = new Set<string>()
  const sweep = () => {
    for (const file of Object.keys(require.cache)) {
      if (!seen.has(file)) see(pathToFileURL(file).href)
      seen.add(file)
    }
  }
  setInterval(sweep, SWEEP).unref()
}
