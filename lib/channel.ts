/**
 * What a master and a worker say to each other: a line of JSON a message over a socket pair. Its end of file is the
 * other's death. Nothing here is said for a request; see slot.ts for what is counted.
 */

import { readSync, writeSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import type { Busy } from './busy.js'
import { Control, posix, type Watch } from './posix.js'

/** What a master asks of a worker. */
export type ToWorker =
  /** Another worker is there: its slot comes with this. */
  | { type: 'peer' }
  /** Stop accepting, look whether there is work, answer `quieted`. */
  | { type: 'quiet' }
  | { type: 'resume' }
  /** Drain, and do not die with the master. */
  | { type: 'detach' }
  /**
   * Drain, run the app's SIGTERM handlers, exit. `final`: nobody will listen any more, so take what waits, then close the
   * sockets. `cut`: end upgraded and raw connections, which may never end by themselves. `patience`: how long idle
   * connections are left alone, for their clients may be about to ask for something. `reload`: another has taken its place.
   * `grace`, `patience` in ms.
   */
  | { type: 'stop'; grace: number; patience: number; final: boolean; cut: boolean; reload?: boolean }

/** How a worker is to finish. */
export type Stop = Omit<ToWorker & { type: 'stop' }, 'type'>

/** An error as it is shown to a person. */
export interface Fault {
  message: string
  stack?: string
}

/** What a worker tells its master. */
export type ToMaster =
  /** The app listens; `served` has the indexes of the addresses that its servers got until now. */
  | { type: 'ready'; served: number[] }
  /** Its first request was answered: ms, monotonic. */
  | { type: 'answered'; at: number }
  /** What it has to do, about once a second where that has changed. */
  | { type: 'busy'; busy: Busy }
  /** `active`: ms, monotonic; null while there is work, for which `why` has the reasons. */
  | { type: 'quieted'; active: number | null; why: string[] }
  /**
   * An exception is about to end the worker. What follows on the channel is no message but what node says of it on
   * stderr, which has the place of a syntax error, too.
   */
  | { type: 'fault'; fault: Fault }
  /** Something the app wrote while it was starting. */
  | { type: 'output'; text: string }
  /** Files that the app has loaded. */
  | { type: 'loaded'; files: string[] }
  /** It will not die with the master. */
  | { type: 'detached' }

/** ms until another try when the pair is full: the other end is busy, or stopped. */
const FULL = 10

/** Characters of a message at most: there is an end to what a worker may have its master keep. */
const LONGEST = 1 << 24

/** The most that is read at a time, bytes. */
const CHUNK = 65_536

/** A worker may read its app: its master can no longer be looked into by it. Said once, before all else, where that matters. */
export function letBegin(fd: number): void {
  attempt(() => writeSync(fd, '\n'), 0)
}

/** Waits for that; where the master is gone, so are we about to. */
export function awaitBegin(fd: number): void {
  readSync(fd, Buffer.alloc(1))
}

export class Channel<Received, Sent> {
  readonly #watch: Watch
  readonly #decoder = new StringDecoder('utf8')
  #open = true
  #rest = ''
  readonly #unsent: { text: Buffer; fds: number[] }[] = []
  #raw: ((text: string) => void) | undefined

  /**
   * Does not keep the process alive, unless told to. Owns `fd`, which becomes nonblocking.
   * @param bring gets the descriptors that come with messages, and owns them; absent: they do not come in
   */
  constructor(
    private readonly fd: number,
    private readonly receive: (message: Received) => void,
    private readonly bring?: (fd: number) => void,
  ) {
    this.#watch = posix.poll(fd, () => this.read())
    posix.control(this.#watch, Control.start)
    posix.control(this.#watch, Control.unref)
  }

  /** Takes what there is now. */
  read(): void {
    const buffer = Buffer.allocUnsafe(CHUNK)
    while (this.#open) {
      const count = attempt(() => this.#read(buffer), 0)
      if (count === undefined) return
      if (count === 0) {
        this.close()
        return this.onGone?.()
      }
      this.#take(this.#rest + this.#decoder.write(buffer.subarray(0, count)))
    }
  }

  #read(buffer: Buffer): number {
    if (!this.bring) return readSync(this.fd, buffer)
    const [count, fd] = posix.receive(this.fd, buffer)
    if (fd >= 0) this.bring(fd)
    return count
  }

  #take(text: string): void {
    let from = 0
    for (let to = text.indexOf('\n'); to >= 0 && !this.#raw; to = text.indexOf('\n', from)) {
      const message = parse<Received>(text.slice(from, to))
      if (message === undefined) return this.close() // no end of ours wrote that
      from = to + 1
      this.receive(message)
    }
    this.#rest = this.#raw ? '' : text.slice(from)
    if (this.#rest.length > LONGEST) return this.close()
    this.#raw?.(text.slice(from))
  }

  /** From now on what is received is text. */
  becomeRaw(see: (text: string) => void): void {
    this.#raw = see
  }

  /** Called once the other end is gone. */
  onGone: (() => void) | undefined

  /**
   * Written at once as long as the pair has room, so that even a dying process is heard.
   * @param fd a copy of it goes with the message
   */
  send(message: Sent, fd?: number): void {
    if (!this.#open) return
    const fds = fd === undefined ? [] : [posix.dup(fd, 0)]
    this.#unsent.push({ text: Buffer.from(`${JSON.stringify(message)}\n`), fds })
    if (this.#unsent.length === 1) this.#flush()
  }

  #flush(): void {
    for (let [next] = this.#unsent; this.#open && next; [next] = this.#unsent) {
      const { text, fds } = next
      const count = attempt(() => posix.send(this.fd, text, fds), text.length)
      if (count === undefined) return void setTimeout(() => this.#flush(), FULL).unref()
      closeAll(fds.splice(0)) // they went with the first byte
      next.text = text.subarray(count)
      if (next.text.length === 0) this.#unsent.shift()
    }
  }

  /** Whether the other end is there, as far as was heard. */
  get isOpen(): boolean {
    return this.#open
  }

  /** Whether the process goes on for this channel's sake. */
  keepAlive(on: boolean): void {
    if (this.#open) posix.control(this.#watch, on ? Control.ref : Control.unref)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    posix.control(this.#watch, Control.close)
    for (const { fds } of this.#unsent.splice(0)) closeAll(fds)
    posix.close(this.fd)
  }
}

function closeAll(fds: number[]): void {
  for (const fd of fds) posix.close(fd)
}

/** The count that `call` returns; undefined when it would have to wait, and `gone` when the other end is. */
function attempt(call: () => number, gone: number): number | undefined {
  try {
    return call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? undefined : gone
  }
}

function parse<T>(line: string): T | undefined {
  try {
    const message: unknown = JSON.parse(line)
    const isObject = typeof message === 'object' && message !== null && !Array.isArray(message)
    return isObject ? (message as T) : undefined
  } catch {
    return undefined
  }
}
