/** How a Cluster comes to life: loaded when one does, for an app that imports lookout has no use for it. */
import path from 'node:path'
import type { ClusterOptions } from './cluster.js'
import { checkHooks, loadHooks } from './hooks.js'
import { Host, listenOn } from './host.js'
import { optionsOf } from './options.js'
import { WORKER_OPTIONS } from './plan.js'
import { resolveScript } from './script.js'

/** @throws Misuse, Failure */
export async function startCluster({ app, args = [], ...rest }: ClusterOptions): Promise<Host> {
  const { onWorkerStart, onWorkerExit, ...values } = rest
  const given = Object.entries({ onWorkerStart, onWorkerExit })
  const hooks = checkHooks(Object.fromEntries(given.filter(([, hook]) => hook !== undefined)), 'Cluster')
  const { listen, backlog, deferAccept, socketMode, pidFile, ...options } = optionsOf(values)
  const script = resolveScript(app)
  const config = { ...options, name: options.name ?? path.basename(app), script }
  const listening = await listenOn(listen, { backlog, deferAccept, ...(socketMode !== undefined && { socketMode }) })
  const host = new Host(config, [process.execPath, ...WORKER_OPTIONS, script, ...args], listening, {
    ...loadHooks(config.hooks),
    ...hooks,
  })
  await host.start()
  return host
}
