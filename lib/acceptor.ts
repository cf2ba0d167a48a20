/**
 * Accepts from listening sockets that other processes accept from, too. It polls and decides by itself when to accept,
 * where Node's own servers take whatever comes: so a worker can be quiet, or leave a connection to a peer that has room.
 */
import { Control, posix, type Watch } from './posix.js'

/** ms to leave the queue alone when this process has no room: a level-triggered poll would spin. */
const PAUSE = 10

export type Admission = 'now' | 'later' | 'peer'

export class Acceptor {
  readonly #watches: { fd: number; watch: Watch }[]
  #state: 'stopped' | 'accepting' | 'closed' = 'stopped'

  /**
   * @param admit asked when a connection waits: 'later' leaves it in the queue for a while, 'peer' for one turn of the loop
   * @param take gets each accepted descriptor and owns it
   */
  constructor(
    fds: number[],
    private readonly admit: () => Admission,
    private readonly take: (fd: number) => void,
  ) {
    this.#watches = fds.map(fd => ({ fd, watch: posix.poll(fd, () => this.#accept(fd)) }))
  }

  start(): void {
    if (this.#state === 'stopped') this.#set('accepting', Control.start)
  }

  stop(): void {
    if (this.#state === 'accepting') this.#set('stopped', Control.stop)
  }

  close(): void {
    if (this.#state !== 'closed') this.#set('closed', Control.close)
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
    const admission = this.admit()
    if (admission === 'later') this.#pause()
    else if (admission === 'peer') posix.yield()
    else this.#take(socket)
  }

  /** False when there is no room in this process: the connection waits. */
  #take(socket: number): boolean {
    const fd = posix.accept(socket)
    const full = -fd === posix.EMFILE || -fd === posix.ENFILE
    if (fd >= 0) this.take(fd)
    else if (full) this.#pause()
    // Any other error is of that one connection, which is gone: the next may be well. Or a peer was faster.
    return !full
  }

  #pause(): void {
    if (this.#state !== 'accepting') return
    this.stop()
    setTimeout(() => this.start(), PAUSE) // keeps the process going, as the listening socket does
  }

  #set(state: 'stopped' | 'accepting' | 'closed', action: Control): void {
    this.#state = state
    this.#control(action)
  }

  #control(action: Control): void {
    for (const { watch } of this.#watches) posix.control(watch, action)
  }
}
