/**
 * Makes an app's server listen on lookout's sockets.
 *
 * Node's own `listen({ fd })` does all of its work, so that address(), close(), getConnections(), maxConnections and the
 * 'listening' event are Node's; only the handle's own listen(), which would begin to accept, is left out. Each connection
 * that we accept goes to Node's own onconnection, as one of Node's would: noDelay, allowHalfOpen and the rest hold.
 */
import net from 'node:net'
import { Acceptor, type Admission } from './acceptor.js'
import { posix } from './posix.js'
import { doorsOf, type Group, RAW } from './sockets.js'

/** Node's TCP or Pipe handle, as far as we touch it. */
interface Handle {
  listen(backlog: number): number
  open(fd: number): number
  close(callback?: () => void): void
  ref(): void
  unref(): void
  onconnection(error: number, client: Handle): void
  constructor: new (type: number) => Handle
}

type Internals = net.Server & {
  _handle: Handle | null
  _pipeName?: string
  _connections: number
  [RAW]?(fd: number): void
}

/** A documented form of listen()'s options that its types leave out. */
type FdOptions = net.ListenOptions & { fd: number }

/** Of TCP and of Pipe handles: a connection, not a server. */
const SOCKET = 0

const listen = net.Server.prototype.listen

/** Node's own listen(), with the handle's part left out: it would begin to accept. It is synchronous for a descriptor. */
function listenQuietly(server: Internals, options: FdOptions, callback?: () => void): Handle | null {
  const property = { configurable: true, enumerable: true }
  let handle: Handle | null = null
  Object.defineProperty(server, '_handle', {
    ...property,
    get: () => handle,
    set(made: Handle | null) {
      handle = made
      if (made) made.listen = () => 0
    },
  })
  try {
    listen.call(server, options, callback)
  } finally {
    Object.defineProperty(server, '_handle', { ...property, writable: true, value: handle })
  }
  return handle
}

interface Options {
  signal?: AbortSignal
  callback?: (() => void) | undefined
  admit?(): Admission
  onClose?(): void
  /** The names for which connections are handed to it. */
  hosts?: string[] | undefined
}

/**
 * @param admit whether the server may take another connection now
 * @param onClose called once the server was closed
 * @returns the acceptor, started; undefined where Node refused and will say so by 'error'
 */
export function attach(server: net.Server, group: Group, options: Options = {}): Acceptor | undefined {
  const internals = server as Internals
  // The server gets a duplicate, so that closing it leaves the group usable for the next listen().
  const fd = posix.dup(group.fds[0]!, 3)
  const listenOptions: FdOptions = {
    fd,
    ...(options.signal && { signal: options.signal }),
  }
  const handle = listenQuietly(internals, listenOptions, options.callback)
  if (!handle) return undefined
  if (group.path !== undefined) internals._pipeName = group.path

  const full = () =>
    server.maxConnections != null && server.maxConnections > 0 && internals._connections >= server.maxConnections
  const { [RAW]: raw } = internals
  const serve = (accepted: number) => {
    if (raw) return raw(accepted)
    const client = new handle.constructor(SOCKET)
    const error = client.open(accepted)
    if (error) posix.close(accepted)
    else handle.onconnection(0, client)
  }
  const acceptor = new Acceptor(
    doorsOf(group),
    () => (full() ? 'later' : (options.admit?.() ?? 'now')),
    (accepted, socket) => {
      if (!group.handoff?.includes(socket)) return serve(accepted)
      const { takeOver } = require('./handoff.js') as typeof import('./handoff.js')
      takeOver(accepted, server, serve, options.hosts)
    },
    () => unbind(fd),
  )
  bindLife(handle, acceptor, options.onClose)
  acceptor.start()
  return acceptor
}

/** The server's descriptor becomes a socket that is not bound: the handle, which does not poll it, has something to close. */
function unbind(fd: number): void {
  try {
    const other = posix.socket(posix.AF_INET)
    posix.dup2(other, fd)
    posix.cloexec(fd, 1)
    posix.close(other)
  } catch {
    // There is no descriptor left: the address is held until this process has ended.
  }
}

/** What Node does to the server's handle holds for the acceptor, too. */
function bindLife(handle: Handle, acceptor: Acceptor, onClose?: () => void): void {
  const { close } = handle
  handle.close = callback => {
    acceptor.close()
    onClose?.()
    close.call(handle, callback)
  }
  handle.ref = () => acceptor.ref()
  handle.unref = () => acceptor.unref()
}
