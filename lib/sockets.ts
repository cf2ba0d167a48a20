/**
 * The listening sockets that a process was started with: systemd's protocol (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES),
 * which lookout speaks, too. Neighbours of one name and port are one address to the app: `localhost` is two sockets.
 */
import { INTERNAL } from './config.js'
import { posix } from './posix.js'

/** SD_LISTEN_FDS_START: the first inherited socket. */
export const FIRST = 3

/** What an app's listen() gets: one address of lookout's. */
export interface Group {
  fds: number[]
  /** 0 for a unix socket. */
  port: number
  /** A unix socket's. */
  path?: string
  /** Where connections come that another process has accepted for this address: see handoff.ts. */
  handoff?: number[]
}

/** A server of lookout's own that wants descriptors, and no sockets made of them, has a function of this name. */
export const RAW = Symbol.for('lookout.raw')

/** The name of a socket that is no address. */
export const HANDOFF = 'handoff'

export interface Inherited {
  groups: Group[]
  /** Socket pair between master and worker 0, or this worker. */
  channel: number
  /** The slot of worker 0, or of this worker. */
  slot: number
  /** A master's: see board.ts. */
  board: number
  /** A master's that lookout has woken: a byte is the number of a signal to lookout, the end of file means that it is gone. */
  lifeline: number
}

/** Reads what was inherited, and keeps it from the children that an app may start. */
export function inherit(env: NodeJS.ProcessEnv): Inherited {
  const count = Number(env.LISTEN_FDS)
  const names = (env.LISTEN_FDNAMES ?? '').split(':')
  const groups: Group[] = []
  for (let index = 0; index < count; index++) {
    const group = groupOf(FIRST + index)
    const before = groups.at(-1)
    if (before && names[index] === HANDOFF) groups[0]!.handoff = group.fds
    else if (before && names[index] === names[index - 1] && sameAddress(before, group)) before.fds.push(...group.fds)
    else groups.push(group)
  }
  for (let fd = FIRST; fd < FIRST + count + 2; fd++) posix.cloexec(fd, 1)
  const channel = FIRST + count
  return { groups, channel, slot: channel + 1, board: channel + 2, lifeline: channel + 3 }
}

/** One listening socket as an address of its own. */
export function groupOf(fd: number): Group {
  const [family, address, port] = posix.getsockname(fd)
  return { fds: [fd], port, ...(family === posix.AF_UNIX && { path: address }) }
}

/** Whether two are one address to a client: `localhost` is 127.0.0.1 and ::1. */
export function sameAddress(one: Group, other: Group): boolean {
  return one.path === undefined && other.path === undefined && one.port === other.port
}

/** What a client would be told. */
export function urlOf({ fds, path }: Group): string {
  if (path !== undefined) return `unix:${path}`
  const [family, address, port] = posix.getsockname(fds[0]!)
  if (address === '::' || address === '0.0.0.0') return `http://localhost:${port}`
  return `http://${family === posix.AF_INET6 ? `[${address}]` : address}:${port}`
}

/** Removes what lookout's processes tell each other from an environment that others will see. */
export function scrub(env: NodeJS.ProcessEnv): void {
  if (env.LOOKOUT_CACHE !== undefined) delete env.NODE_COMPILE_CACHE
  for (const name of INTERNAL) delete env[name]
}

/** Every socket by which somebody may come to an address. */
export function doorsOf({ fds, handoff = [] }: Group): number[] {
  return [...fds, ...handoff]
}

/** How many connections wait to be accepted. */
export function backlogOf(groups: Group[]): number {
  return groups.flatMap(doorsOf).reduce((sum, fd) => sum + posix.backlog(fd), 0)
}
