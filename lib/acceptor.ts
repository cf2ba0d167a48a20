/**
 * Accepts from listening sockets that other processes accept from, too. It polls and decides by itself when to accept,
 * where Node's own servers take whatever comes: so a worker can be quiet, or leave a connection to a peer that has room.
 */
import { isNearLimit } from './descriptors.js'
import { Control, posix, type Watch } from './posix.js'

/** ms to leave the queue alone when this process has no room, unless {@link Acceptor.roomAgain} is called before. */
const PAUSE = 10

/** What is to become of a connection that waits: it is taken, or left until there is room, or for one turn of the loop. */
export type Admission = 'now' | 'later' | 'peer'

export class Acceptor {
  readonly #watches: { fd: number; watch: Watch }[]
  #state: 'stopped' | 'accepting' | 'paused' | 'closed' = 'stopped'
  #pausing: NodeJS.Timeout | undefined
  /** Whether the last connection took one of the descriptors that are the app's: the next may have to wait. */
  #tight = false

  /**
   * @param admit asked when a connection waits
   * @param take gets each accepted descriptor, which it owns, and the socket that it came by
   * @param release lets go of what else of the socket there is in this process
   */
  constructor(
    fds: number[],
    private readonly admit: () => Admission,
    private readonly take: (fd: number, socket: number) => void,
    private readonly release: () => void = () => {},
  ) {
    this.#watches = fds.map(fd => ({ fd, watch: posix.poll(fd, () => this.#accept(fd)) }))
  }

  start(): void {
    if (this.#state === 'stopped') this.#set('accepting', Control.start)
  }

  stop(): void {
    if (this.#state !== 'closed') this.#set('stopped', Control.stop)
  }

  close(): void {
    if (this.#state !== 'closed') this.#set('closed', Control.close)
  }

  /** For good, though the server is not closed: another process may have the address. */
  letGo(): void {
    if (this.#state === 'closed') return
    this.close()
    this.release()
  }

  /** A connection has ended: who had no room looks again. */
  roomAgain(): void {
    if (this.#state === 'paused') this.#set('accepting', Control.start)
  }

  ref(): void {
    if (this.#state !== 'closed') this.#control(Control.ref)
  }

  unref(): void {
    if (this.#state !== 'closed') this.#control(Control.unref)
  }

  /** Takes whatever is in the queue now, before the socket is closed for good. */
  takeAll(): void {
    for (const { fd } of this.#watches) while (this.#state !== 'closed' && posix.readable(fd) && this.#take(fd));
  }

  /**
   * One connection a turn of the event loop: the poll is level-triggered and asks again. Sixteen at once, as young as they
   * all then are when the collector comes, made a quarter fewer a second.
   */
  #accept(socket: number): void {
    const admission = this.#tight && isNearLimit(lowestFree(socket)) ? 'later' : this.admit()
    if (admission === 'later') this.#pause()
    else if (admission === 'peer') posix.yield()
    else this.#take(socket)
  }

  /** False when this process can have no more: the connection waits. */
  #take(socket: number): boolean {
    const fd = posix.accept(socket)
    const full = -fd === posix.EMFILE || -fd === posix.ENFILE
    this.#tight = full || isNearLimit(fd)
    if (full) this.#pause()
    if (fd >= 0) this.take(fd, socket)
    // Any other error is of that one connection, which is gone: the next may be well. Or a peer was faster.
    return !full
  }

  /** A level-triggered poll would spin. */
  #pause(): void {
    if (this.#state !== 'accepting') return
    this.#set('paused', Control.stop)
    this.#pausing = setTimeout(() => this.roomAgain(), PAUSE) // keeps the process going, as the listening socket does
  }

  #set(state: 'stopped' | 'accepting' | 'paused' | 'closed', action: Control): void {
    clearTimeout(this.#pausing)
    this.#state = state
    this.#control(action)
  }

  #control(action: Control): void {
    for (const { watch } of this.#watches) posix.control(watch, action)
  }
}

/** The next descriptor of this process; Infinity where there is none left. */
function lowestFree(fd: number): number {
  try {
    const free = posix.dup(fd, 0)
    posix.close(free)
    return free
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
