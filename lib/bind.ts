/**
 * Makes the listening sockets. A TCP address that is taken is refused and its holder named; a socket file is
 * replaced only under its lock and only when nobody listens on it.
 */
import dns from 'node:dns/promises'
import fs from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address as Anything } from './address.js'
import { now } from './clock.js'
import { causeOf, Failure, Misuse } from './errors.js'
import { holdersOf, nameHolder } from './holders.js'
import { posix } from './posix.js'
import { listenUnix, lock } from './socket-file.js'

/** What can be bound. */
export type Address = Exclude<Anything, { kind: 'name' }>

export interface BindOptions {
  backlog: number
  deferAccept: boolean
  socketMode?: number
}

/** One listening socket, ours until exec hands it on. */
export interface Bound {
  fd: number
  /** What a client would be told: http://localhost:3000, unix:/run/app.sock */
  url: string
  /** The descriptor that holds the lock of a socket file. */
  lock?: number
  path?: string
}

/** s a connection may stay silent before the kernel shows it all the same: TCP_DEFER_ACCEPT. */
const DEFER = 30

/** How many free ports are tried: that of one family may be taken in the other. */
const PORTS = 100

/** ms for which what a killed lookout left may still hold its addresses: its master ends within a second. */
const ORPHAN = 1200

const IPV6_MISSING = ['EAFNOSUPPORT', 'EADDRNOTAVAIL']

interface Target {
  host: string
  v6only: boolean
  /** The host may be left out where the machine has no IPv6. */
  optional: boolean
}

async function targets(address: Address & { kind: 'tcp' }): Promise<Target[]> {
  if (address.host === undefined) return [{ host: '::', v6only: false, optional: true }]
  if (address.host === 'localhost') {
    return [
      { host: '127.0.0.1', v6only: false, optional: false },
      { host: '::1', v6only: true, optional: true },
    ]
  }
  if (net.isIP(address.host)) return [{ host: address.host, v6only: true, optional: false }]
  try {
    const found = await dns.lookup(address.host, { all: true })
    return found.map(({ address: host }) => ({ host, v6only: true, optional: false }))
  } catch (error) {
    throw new Failure(`cannot bind ${address.text}: ${causeOf(error)} (no address is known for ${address.host})`)
  }
}

/** A socket that listens on it; throws the system's error with nothing left open. */
function listenTcp(target: Target, port: number, options: BindOptions): number {
  const family = net.isIPv6(target.host.replace(/%.*/, '')) ? posix.AF_INET6 : posix.AF_INET
  const fd = posix.socket(family)
  try {
    posix.setsockopt(fd, posix.SOL_SOCKET, posix.SO_REUSEADDR, 1)
    if (family === posix.AF_INET6) posix.setsockopt(fd, posix.IPPROTO_IPV6, posix.IPV6_V6ONLY, target.v6only ? 1 : 0)
    if (options.deferAccept) posix.setsockopt(fd, posix.IPPROTO_TCP, posix.TCP_DEFER_ACCEPT, DEFER)
    posix.bind(fd, family, target.host, port)
    posix.listen(fd, options.backlog)
    return fd
  } catch (error) {
    posix.close(fd)
    throw error
  }
}

/** Whether what a killed lookout left, which is about to end, may hold the port; it may have ended since. */
function heldByOrphans(port: number): boolean {
  const names = holdersOf(port).map(({ name }) => name)
  return names.every(name => name.startsWith('lookout '))
}

async function retry<T>(attempt: () => T, again: (error: NodeJS.ErrnoException) => boolean): Promise<T> {
  const deadline = now() + ORPHAN
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      if (now() > deadline || !again(error as NodeJS.ErrnoException)) throw error
      await sleep(20)
    }
  }
}

function explain(address: Address & { kind: 'tcp' }, error: NodeJS.ErrnoException): Failure {
  const holder = error.code === 'EADDRINUSE' ? nameHolder(holdersOf(address.port)) : undefined
  const hint =
    error.code === 'EACCES' && address.port < 1024 ? 'a port below 1024 needs root or CAP_NET_BIND_SERVICE' : holder
  return new Failure(`cannot bind ${address.text}: ${causeOf(error)}${hint ? ` (${hint})` : ''}`)
}

/** What a client would be told of a socket that is bound to this address. */
export function urlOf(address: Address, fd: number): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const [, bound, port] = posix.getsockname(fd)
  const host = address.host === undefined || address.host === '::' ? 'localhost' : (address.host ?? bound)
  return `http://${net.isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Whether any free port will do. */
export function isFree(address: Anything): boolean {
  return address.kind === 'tcp' && address.port === 0
}

async function bindTcp(address: Address & { kind: 'tcp' }, options: BindOptions): Promise<Bound[]> {
  const rejected: Bound[] = [] // the kernel would give them again
  try {
    for (;;) {
      const bound: Bound[] = []
      try {
        await bindFamilies(address, options, bound)
        return bound
      } catch (error) {
        rejected.push(...bound)
        if (error instanceof Failure) throw error
        const { code } = error as NodeJS.ErrnoException
        const another = code === 'EADDRINUSE' && isFree(address) && bound.length > 0 && rejected.length < PORTS
        if (!another) throw explain(address, error as NodeJS.ErrnoException)
      }
    }
  } finally {
    release(rejected)
  }
}

/** @throws the system's error; what was bound until then is in `bound` */
async function bindFamilies(address: Address & { kind: 'tcp' }, options: BindOptions, bound: Bound[]): Promise<void> {
  let { port } = address
  for (const target of await targets(address)) {
    const attempt = (host: Target) => listenTcp(host, port, options)
    try {
      const fd = await retry(
        () => attempt(target),
        error => error.code === 'EADDRINUSE' && !isFree(address) && heldByOrphans(port),
      )
      bound.push({ fd, url: urlOf(address, fd) })
    } catch (error) {
      if (!target.optional || !IPV6_MISSING.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
      if (address.host !== undefined) continue
      const fd = attempt({ host: '0.0.0.0', v6only: false, optional: false })
      bound.push({ fd, url: urlOf(address, fd) })
    }
    port = posix.getsockname(bound[0]!.fd)[2] // with port 0, the other family gets the same
  }
}

async function bindUnix(address: Address & { kind: 'unix' }, options: BindOptions): Promise<Bound[]> {
  const { path } = address
  let held: { fd: number; left: boolean } | undefined
  try {
    held = lock(path)
    const { left } = held // then what still listens may be about to end
    const fd = await retry(
      () => listenUnix(path, options),
      error => left && /EADDRINUSE/.test(error.message),
    )
    return [{ fd, url: urlOf(address, fd), lock: held.fd, path }]
  } catch (error) {
    if (held) {
      fs.unlinkSync(`${path}.lock`)
      fs.closeSync(held.fd)
    }
    if (error instanceof Failure) throw error
    throw new Failure(`cannot bind ${path}: ${causeOf(error)}`)
  }
}

/** Closes sockets that are not to be handed on after all, and takes their files away. */
export function release(sockets: Bound[]): void {
  for (const { fd, lock: held, path } of sockets) {
    posix.close(fd)
    if (path) fs.rmSync(path, { force: true })
    if (held === undefined) continue
    fs.rmSync(`${path}.lock`, { force: true })
    fs.closeSync(held)
  }
}

/**
 * Every address's sockets, in order: `localhost` is two. All or none.
 * @throws Failure naming the address, the error and who holds it, where that can be seen
 */
export async function bind(addresses: Address[], options: BindOptions): Promise<Bound[][]> {
  const groups: Bound[][] = []
  const seen = new Set<string>()
  // A free port, if it came first, could be one that is named.
  const order = [...addresses.entries()].sort(([, one], [, other]) => Number(isFree(one)) - Number(isFree(other)))
  try {
    for (const [index, address] of order) {
      if (seen.has(address.text) && !isFree(address)) {
        throw new Misuse(`cannot listen on ${address.text}: it is given twice`)
      }
      seen.add(address.text)
      groups[index] = address.kind === 'tcp' ? await bindTcp(address, options) : await bindUnix(address, options)
    }
    return groups
  } catch (error) {
    release(groups.flat())
    throw error
  }
}
