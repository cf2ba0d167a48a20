/** What the processes of an app get as their environment, made of ours. */
import { cacheFolder } from './cache-folder.js'
import { INTERNAL } from './config.js'
import { environmentName, TABLE } from './option-table.js'
import { addon } from './posix.js'
import { type Group, HANDOFF } from './sockets.js'

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
  const counts = groups.map(({ fds }) => fds.length)
  const sum = counts.reduce((sum, count) => sum + count, 0)
  return { ...appEnvironment(env), LISTEN_FDS: `${sum}`, LISTEN_FDNAMES: socketNames(counts) }
}

/** LISTEN_FDNAMES: one name an address, which may have several sockets; the last may be no address. */
export function socketNames(counts: number[], handoff = false): string {
  const names = counts.flatMap((count, index) => Array<string>(count).fill(`listen${index}`))
  return [...names, ...(handoff ? [HANDOFF] : [])].join(':')
}

/** What a service manager tells the process that it started, and is meant for no other: see service.ts. */
export function serviceEnvironment({
  NOTIFY_SOCKET,
  WATCHDOG_USEC,
  WATCHDOG_PID,
}: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const given = Object.entries({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID })
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}
