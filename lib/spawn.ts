/** Starts a further worker, as the resting program started worker 0. */
import { posix } from './posix.js'
import type { Inherited } from './sockets.js'
import type { Stats } from './stats.js'

/** What replaces LISTEN_PID's value in the child, once it knows its pid: see native/posix.c. */
const PID = '0000000000'

/** node's own arguments for the worker: the master's end with them. */
export function workerArgv(): string[] {
  return process.argv.slice(2)
}

/**
 * @param env the master's own environment as it was inherited
 * @throws the system's error
 */
export function spawnWorker(
  index: number,
  sockets: Inherited,
  stats: Stats,
  env: NodeJS.ProcessEnv,
): { pid: number; channel: number } {
  const [file, ...args] = workerArgv()
  const [ours, theirs] = posix.socketpair()
  const listeners = sockets.groups.flatMap(group => group.fds)
  const { LOOKOUT_NODE_OPTIONS, LOOKOUT_WORKER_PID, ...rest } = env
  const variables: NodeJS.ProcessEnv = { ...rest, LISTEN_PID: PID, LOOKOUT_WORKER: String(index) }
  if (LOOKOUT_NODE_OPTIONS !== undefined) variables.NODE_OPTIONS = LOOKOUT_NODE_OPTIONS
  const list = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  stats.clear(index)
  try {
    const fds = [0, 1, 2, ...listeners, theirs, sockets.stats]
    return { pid: posix.spawn(file!, [file!, ...args], list, fds), channel: ours }
  } catch (error) {
    posix.close(ours)
    throw error
  } finally {
    posix.close(theirs)
  }
}
