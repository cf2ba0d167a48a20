/**
 * Connections that the gateway has accepted and hands to an app, each by a message over a unix socket that the app is woken by.
 * From then on they are the app's as if it had accepted them itself; but where they came by name, a request that is for another
 * host, later on the same connection, is refused: 421.
 */
import type http from 'node:http'
import type net from 'node:net'
import { now } from './clock.js'
import { hold } from './hold.js'
import { Control, posix } from './posix.js'

const HANDED = Symbol('lookout.handed')
const GUARDED = Symbol('lookout.guarded')

/** What the gateway says of a connection, with it. */
export const enum Came {
  byName,
  byAddress,
}

/** ms that the gateway has to send what it has connected for. */
const PATIENCE = 1000

type Handed = net.Socket & { [HANDED]?: true }
type Guarded = net.Server & { [GUARDED]?: true }

/**
 * Takes what comes over an accepted connection of the gateway's, which is closed then.
 * @param serve gets the client's connection, and makes the server have it
 * @param hosts the names that are the app's
 */
export function takeOver(from: number, server: net.Server, serve: (fd: number) => void, hosts: string[] = []): void {
  guard(server, new Set(hosts))
  const deadline = now() + PATIENCE
  const release = hold('a connection that is handed over') // who goes to rest would lose it
  const watch = posix.poll(from, () => look())
  const timer = setTimeout(() => look(), PATIENCE)
  posix.control(watch, Control.start)
  look()

  function look(): void {
    const message = received(from)
    if (message === undefined && now() < deadline) return
    clearTimeout(timer)
    release()
    posix.control(watch, Control.close)
    posix.close(from)
    const { fd, came } = message ?? { fd: -1 }
    if (fd < 0) return
    const mark = (socket: Handed) => {
      if (came === Came.byName) socket[HANDED] = true
    }
    server.prependOnceListener('connection', mark)
    serve(fd) // at once
    server.off('connection', mark)
  }
}

/** undefined while there is nothing; -1 where there will be nothing. */
function received(from: number): { fd: number; came?: Came } | undefined {
  try {
    const byte = Buffer.alloc(1)
    const [, fd] = posix.receive(from, byte)
    return { fd, came: byte[0]! }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? undefined : { fd: -1 }
  }
}

const REQUESTS = ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect']

/** Looks at the host of each request that comes on a connection of the gateway's, before the app does. */
function guard(server: Guarded, hosts: Set<string>): void {
  if (server[GUARDED]) return
  server[GUARDED] = true
  const emit = server.emit as (...args: unknown[]) => boolean
  server.emit = function (this: net.Server, event: string, ...args: unknown[]): boolean {
    if (!REQUESTS.includes(event)) return emit.call(this, event, ...args)
    const request = args[0] as http.IncomingMessage
    if (!(request.socket as Handed)[HANDED] || hosts.has(oneHost(request) ?? '')) return emit.call(this, event, ...args)
    misdirected(event, args[1])
    return true
  } as typeof server.emit
}

/** The name that a request is for, in lower case, without a port. */
export function hostOf({ headers }: Pick<http.IncomingMessage, 'headers'>): string {
  return nameOf(headers.host ?? '')
}

/** The same; undefined where it is for several: it says so twice, or its target is another's (RFC 9112, 3.2). */
export function oneHost(request: http.IncomingMessage): string | undefined {
  if (hostFields(request) > 1) return undefined
  const { url = '' } = request
  const host = hostOf(request)
  const absolute = url.startsWith('/') ? undefined : /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(url)?.[1]
  return absolute === undefined || nameOf(absolute) === host ? host : undefined
}

/** How many Host fields there are, of which `headers` has the first. */
export function hostFields({ rawHeaders }: http.IncomingMessage): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const { [index]: name = '' } = rawHeaders
    if (name.length === 4 && name.toLowerCase() === 'host') count++
  }
  return count
}

function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

const TEXT = 'This connection is for another host: connect again.\n'

function misdirected(event: string, to: unknown): void {
  if (event === 'upgrade' || event === 'connect') {
    const length = Buffer.byteLength(TEXT)
    return void (to as net.Socket).end(
      `HTTP/1.1 421 Misdirected Request\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${TEXT}`,
    )
  }
  const response = to as http.ServerResponse
  response.writeHead(421, { 'Content-Type': 'text/plain', Connection: 'close' })
  response.end(TEXT)
}
