/** What the processes of an app get as their environment, made of ours. */
import { cacheFolder } from './cache-folder.js'
import { INTERNAL } from './config.js'
import { environmentName, TABLE } from './option-table.js'
import { addon } from './posix.js'
import type { Group } from './sockets.js'

/** What the app will see, and what the woken processes need to be told once. NODE_OPTIONS is the app's alone. */
export function appEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS, ...rest } = env
  for (const name of INTERNAL) delete rest[name]
  for (const option of Object.keys(TABLE)) delete rest[environmentName(option)]
  if (NODE_OPTIONS) rest.LOOKOUT_NODE_OPTIONS = NODE_OPTIONS
  const cache = env.NODE_COMPILE_CACHE === undefined ? cacheFolder(env) : undefined // where the user has one, it is used
  if (cache !== undefined) rest.NODE_COMPILE_CACHE = rest.LOOKOUT_CACHE = cache
  return { ...rest, LOOKOUT_ADDON: addon }
}

/** The same for workers that we start ourselves, with these sockets. */
export function workerEnvironment(env: NodeJS.ProcessEnv, groups: Group[]): NodeJS.ProcessEnv {
  const names = groups.flatMap(({ fds }, index) => fds.map(() => `listen${index}`))
  return { ...appEnvironment(env), LISTEN_FDS: `${names.length}`, LISTEN_FDNAMES: names.join(':') }
}
