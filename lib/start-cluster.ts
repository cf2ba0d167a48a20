/** How a Cluster comes to life: loaded when one does, for an app that imports lookout has no use for it. */
import path from 'node:path'
import type { ClusterOptions } from './cluster.js'
import { checkHooks, loadHooks } from './hooks.js'
import { Host, listenOn } from './host.js'
import { addressesOf, optionsOf } from './options.js'
import { workerArgv } from './plan.js'
import { resolveScript } from './script.js'

/** @throws Misuse, Failure */
export async function startCluster({ app, args = [], ...rest }: ClusterOptions): Promise<Host> {
  const { onWorkerStart, onWorkerExit, ...values } = rest
  const hooks = checkHooks({ onWorkerStart, onWorkerExit }, 'Cluster')
  const all = optionsOf(values)
  const { listen, backlog, deferAccept, socketMode, pidFile, ...options } = all
  const script = resolveScript(app)
  const config = { ...options, name: options.name ?? path.basename(app), script }
  const listening = await listenOn(addressesOf(all, {}), {
    backlog,
    deferAccept,
    ...(socketMode !== undefined && { socketMode }),
  })
  const host = new Host(config, workerArgv(script, args), listening, {
    ...loadHooks(config.hooks),
    ...hooks,
  })
  await host.start()
  return host
}
