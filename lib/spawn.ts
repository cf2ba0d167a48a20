/** Starts a worker as the resting program started worker 0. */
import { posix } from './posix.js'
import type { Group } from './sockets.js'

/** All that workers are started with. */
export interface Launch {
  /** node's, with its arguments. */
  argv: string[]
  /** All that they are to see: what lookout's processes tell each other included. */
  env: NodeJS.ProcessEnv
  groups: Group[]
  /** What they get as standard input. */
  stdin: number
  /** Each leads a process group: Ctrl-C is for us, who tell them. */
  apart: boolean
}

/** What the child replaces as LISTEN_PID's value, once it knows its pid: see native/processes.h. */
export const ITS_PID = '0000000000'

/**
 * @param slot of its statistics: see slot.ts
 * @throws the system's error
 */
export function spawnWorker(index: number, launch: Launch, slot: number): { pid: number; channel: number } {
  const { argv, env, groups, stdin, apart } = launch
  const [ours, theirs] = posix.socketpair()
  const listeners = [...groups.flatMap(({ fds }) => fds), ...groups.flatMap(({ handoff = [] }) => handoff)]
  const { LOOKOUT_NODE_OPTIONS, LOOKOUT_WORKER_PID, ...rest } = env
  const variables: NodeJS.ProcessEnv = { ...rest, LISTEN_PID: ITS_PID, LOOKOUT_WORKER: String(index) }
  if (LOOKOUT_NODE_OPTIONS !== undefined) variables.NODE_OPTIONS = LOOKOUT_NODE_OPTIONS
  const list = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  try {
    const fds = [stdin, 1, 2, ...listeners, theirs, slot]
    return { pid: posix.spawn(argv[0]!, argv, list, fds, apart ? 1 : 0), channel: ours }
  } catch (error) {
    posix.close(ours)
    throw error
  } finally {
    posix.close(theirs)
  }
}
