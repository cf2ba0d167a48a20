/**
 * Listening sockets that another program holds and gives to us when somebody connects: systemd, or whoever speaks its
 * protocol (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES: sd_listen_fds(3)). What is said of them is checked here, once.
 */
import type { Address } from './address.js'
import { causeOf, Misuse } from './errors.js'
import { posix } from './posix.js'
import { FIRST, type Group, groupOf, sameAddress } from './sockets.js'

/** More than a service is ever given. */
const MOST = 1024

/** A group, and what its sockets are called: the socket unit's name, or its FileDescriptorName=. */
export type Named = Group & { name: string }

/**
 * Takes over what we were given. A socket may block: whoever polls it has libuv change that, for all.
 * @returns undefined where nothing was given to this very process
 * @throws Misuse naming what is no listening socket
 */
export function takeOver(env: NodeJS.ProcessEnv, pid: number): Named[] | undefined {
  if (env.LISTEN_PID !== `${pid}` || env.LISTEN_FDS === undefined) return undefined
  const count = Number(env.LISTEN_FDS)
  if (!/^\d+$/.test(env.LISTEN_FDS) || count < 1 || count > MOST) {
    throw new Misuse(`cannot take over sockets: LISTEN_FDS is ${JSON.stringify(env.LISTEN_FDS)}, not 1 to ${MOST}`)
  }
  const names = env.LISTEN_FDNAMES === undefined ? Array<string>(count).fill('') : env.LISTEN_FDNAMES.split(':')
  if (names.length !== count) {
    throw new Misuse(`cannot take over ${count} sockets: LISTEN_FDNAMES has ${names.length} names`)
  }
  const groups: Named[] = []
  for (const [index, name] of names.entries()) {
    const group = checked(FIRST + index, name)
    const before = groups.at(-1)
    if (before?.name === name && sameAddress(before, group)) before.fds.push(...group.fds)
    else groups.push({ ...group, name })
  }
  return groups
}

function checked(fd: number, name: string): Group {
  const which = `descriptor ${fd}${name === '' ? '' : `, ${JSON.stringify(name)}`}`
  const wrong = (what: string) => new Misuse(`cannot take over ${which}: ${what}`)
  const option = (option: number) => {
    try {
      return posix.getsockopt(fd, posix.SOL_SOCKET, option)
    } catch (error) {
      throw wrong({ EBADF: 'it is not open', ENOTSOCK: 'it is no socket' }[causeOf(error)] ?? causeOf(error))
    }
  }
  if (option(posix.SO_TYPE) !== posix.SOCK_STREAM) throw wrong('it is no stream socket (ListenStream= is)')
  if (!option(posix.SO_ACCEPTCONN)) throw wrong('it does not listen (Accept=no does)')
  const [family] = posix.getsockname(fd)
  if (![posix.AF_INET, posix.AF_INET6, posix.AF_UNIX].includes(family))
    throw wrong('it is neither of TCP nor a unix socket')
  return groupOf(fd)
}

/**
 * The order in which an app's listen() gets them: those that --listen names first.
 * @param listen what --listen says; undefined where it says nothing
 * @throws Misuse for what was not given
 */
export function choose(given: Named[], listen: Address[] | undefined): Named[] {
  const names = [...new Set(given.map(({ name }) => name))].join(', ')
  const left = [...given]
  const first = (listen ?? []).map(address => {
    const at = address.kind === 'name' ? left.findIndex(({ name }) => name === address.name) : -1
    const [chosen] = at < 0 ? [] : left.splice(at, 1)
    if (chosen) return chosen
    if (address.kind === 'name')
      throw new Misuse(`cannot listen on ${address.text}: the sockets given are called ${names}`)
    throw new Misuse(
      `cannot listen on ${address.text}: the sockets are given, and called ${names}; pick one by name=NAME`,
    )
  })
  return [...first, ...left]
}
