/**
 * Replaces net.Server.prototype.listen: the app's first listen() gets lookout's first address, the next the next; but one that
 * asks for the very port of an address gets that.
 */
import net from 'node:net'
import type { Acceptor, Admission } from './acceptor.js'
import { attach } from './attach.js'
import { tracer } from './log.js'
import type { Group } from './sockets.js'

const trace = tracer('listen')

type ListenArguments = Parameters<typeof net.Server.prototype.listen> | unknown[]

export interface Capture {
  /** The acceptors of the servers that listen on lookout's sockets now. */
  acceptors: Set<Acceptor>
  /** The addresses that they got. */
  taken: Set<Group>
}

/** The port that is asked for, 0 where none is. */
function portOf([first]: unknown[]): number {
  const port = typeof first === 'object' && first !== null ? (first as net.ListenOptions).port : first
  return Number(port) || 0
}

/**
 * @param onListen called with each server that got an address, before its 'listening' event
 * @param hosts the names for which the gateway hands connections to the first
 */
export function captureListen(
  groups: Group[],
  admit: () => Admission,
  onListen: (server: net.Server) => void,
  hosts?: string[],
): Capture {
  const free = [...groups]
  const taken = new Set<Group>()
  const acceptors = new Set<Acceptor>()
  const native = net.Server.prototype.listen

  /** The address of the port that is asked for, else the next. */
  function choose(port: number): Group | undefined {
    const same = (group: Group) => port !== 0 && group.port === port
    // A second listen() for a port already given (Fastify tries every address of localhost) meets the kernel, as it would.
    return free.find(same) ?? ([...taken].some(same) ? undefined : free[0])
  }

  net.Server.prototype.listen = function (this: net.Server, ...args: ListenArguments): net.Server {
    const group = this.listening ? undefined : choose(portOf(args))
    if (!group) return (native as (...args: unknown[]) => net.Server).apply(this, args)
    free.splice(free.indexOf(group), 1)
    taken.add(group)
    const last = args.at(-1)
    const signal = (args[0] as net.ListenOptions | undefined)?.signal
    const acceptor: Acceptor | undefined = attach(this, group, {
      ...(signal && { signal }),
      callback: typeof last === 'function' ? (last as () => void) : undefined,
      admit,
      hosts,
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
  return { acceptors, taken }
}
