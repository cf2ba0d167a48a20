/**
 * The listening sockets that a process was started with: systemd's protocol (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES),
 * which lookout speaks, too. Neighbours of one name and port are one address to the app: `localhost` is two sockets.
 */
import { INTERNAL } from './config.js'
import { posix } from './posix.js'

/** SD_LISTEN_FDS_START: the first inherited socket. */
const FIRST = 3

/** What an app's listen() gets: one address of lookout's. */
export interface Group {
  fds: number[]
  /** 0 for a unix socket. */
  port: number
  /** A unix socket's. */
  path?: string
}

export interface Inherited {
  groups: Group[]
  /** Socket pair between master and worker 0, or this worker. */
  channel: number
  /** The shared statistics. */
  stats: number
  /** A master's: a byte is the number of a signal to lookout, the end of file means that lookout is gone. A worker has none. */
  lifeline: number
  /** A master's: see board.ts. */
  board: number
}

/** Reads what was inherited, and keeps it from the children that an app may start. */
export function inherit(env: NodeJS.ProcessEnv): Inherited {
  const count = Number(env.LISTEN_FDS)
  const names = (env.LISTEN_FDNAMES ?? '').split(':')
  const groups: Group[] = []
  let before = ''
  for (let index = 0; index < count; index++) {
    const fd = FIRST + index
    const [family, address, port] = posix.getsockname(fd)
    const key = `${names[index]}:${port}`
    const path = family === posix.AF_UNIX ? address : undefined
    if (key === before && path === undefined) groups.at(-1)?.fds.push(fd)
    else groups.push({ fds: [fd], port, ...(path !== undefined && { path }) })
    before = key
  }
  for (let fd = FIRST; fd < FIRST + count + 2; fd++) posix.cloexec(fd, 1)
  const channel = FIRST + count
  return { groups, channel, stats: channel + 1, lifeline: channel + 2, board: channel + 3 }
}

/** Removes what lookout's processes tell each other from an environment that others will see. */
export function scrub(env: NodeJS.ProcessEnv): void {
  if (env.LOOKOUT_CACHE !== undefined) delete env.NODE_COMPILE_CACHE
  for (const name of INTERNAL) delete env[name]
}

/** How many connections wait to be accepted. */
export function backlogOf(groups: Group[]): number {
  return groups.flatMap(({ fds }) => fds).reduce((sum, fd) => sum + posix.backlog(fd), 0)
}
