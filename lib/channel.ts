/**
 * What a master and a worker say to each other: a line of JSON a message over a socket pair. Its end of file is the
 * other's death. Nothing here is said for a request; see stats.ts for what is counted.
 */
import net from 'node:net'

/** What a master asks of a worker. */
export type ToWorker =
  /** Stop accepting, look whether there is work, answer `quieted`. */
  | { type: 'quiet' }
  | { type: 'resume' }
  /**
   * Drain, run the app's SIGTERM handlers, exit. `final`: nobody will listen any more, so take what waits, then close the
   * sockets. `cut`: end upgraded and raw connections, which may never end by themselves. `grace` in ms.
   */
  | { type: 'stop'; grace: number; final: boolean; cut: boolean }

/** An error as it is shown to a person. */
export interface Fault {
  message: string
  stack?: string
}

/** What a worker tells its master. */
export type ToMaster =
  /** The app listens; `served` has the indexes of the addresses that its servers got until now. */
  | { type: 'ready'; served: number[] }
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

export class Channel<Received, Sent> {
  readonly #socket: net.Socket
  #rest = ''
  #raw: ((text: string) => void) | undefined

  /** Does not keep the process alive, unless told to. Owns `fd`. */
  constructor(fd: number, receive: (message: Received) => void, closed: () => void) {
    this.#socket = new net.Socket({ fd, readable: true, writable: true })
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (text: string) => this.#take(this.#rest + text, receive))
    this.#socket.on('error', () => {}) // the other end is gone; 'close' follows
    this.#socket.on('close', closed)
    this.#socket.unref()
  }

  #take(text: string, receive: (message: Received) => void): void {
    let from = 0
    for (let to = text.indexOf('\n'); to >= 0 && !this.#raw; to = text.indexOf('\n', from)) {
      const message = parse<Received>(text.slice(from, to))
      if (message === undefined) return this.close() // no end of ours wrote that
      receive(message)
      from = to + 1
    }
    this.#rest = this.#raw ? '' : text.slice(from)
    this.#raw?.(text.slice(from))
  }

  /** From now on what is received is text. */
  becomeRaw(see: (text: string) => void): void {
    this.#raw = see
  }

  /** Written at once as long as the pair has room, so that even a dying process is heard. */
  send(message: Sent): void {
    if (!this.#socket.destroyed) this.#socket.write(`${JSON.stringify(message)}\n`)
  }

  /** Whether the process goes on for this channel's sake. */
  keepAlive(on: boolean): void {
    if (on) this.#socket.ref()
    else this.#socket.unref()
  }

  close(): void {
    this.#socket.destroy()
  }
}

function parse<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T
  } catch {
    return undefined
  }
}
