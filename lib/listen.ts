/** Replaces net.Server.prototype.listen: the app's first listen() gets lookout's first address, the next the next. */
import net from 'node:net'
import type { Acceptor } from './acceptor.js'
import { attach } from './attach.js'
import { tracer } from './log.js'
import type { Group } from './sockets.js'

const trace = tracer('listen')

type ListenArguments = Parameters<typeof net.Server.prototype.listen> | unknown[]

export interface Capture {
  /** The acceptors of the servers that listen on lookout's sockets now. */
  acceptors: Set<Acceptor>
}

/** The port that is asked for, 0 where none is. */
function portOf([first]: unknown[]): number {
  const port = typeof first === 'object' && first !== null ? (first as net.ListenOptions).port : first
  return Number(port) || 0
}

/** @param onListen called with each server that got an address, before its 'listening' event */
export function captureListen(groups: Group[], admit: () => boolean, onListen: (server: net.Server) => void): Capture {
  const free = [...groups]
  const taken = new Set<Group>()
  const acceptors = new Set<Acceptor>()
  const native = net.Server.prototype.listen

  net.Server.prototype.listen = function (this: net.Server, ...args: ListenArguments): net.Server {
    const port = portOf(args)
    // A second listen() for a port already given (Fastify tries every address of localhost) meets the kernel, as it would.
    const given = port !== 0 && [...taken].some(group => group.port === port)
    const group = given || this.listening ? undefined : free.shift()
    if (!group) return (native as (...args: unknown[]) => net.Server).apply(this, args)
    taken.add(group)
    const last = args.at(-1)
    const signal = (args[0] as net.ListenOptions | undefined)?.signal
    const acceptor: Acceptor | undefined = attach(this, group, {
      ...(signal && { signal }),
      callback: typeof last === 'function' ? (last as () => void) : undefined,
      admit,
      onClose: () => {
        taken.delete(group)
        free.unshift(group)
        if (acceptor) acceptors.delete(acceptor)
      },
    })
    trace('listen(%o) got %o', args[0], group)
    if (acceptor) {
      acceptors.add(acceptor)
      onListen(this)
    }
    return this
  } as typeof net.Server.prototype.listen
  return { acceptors }
}
