/**
 * Server-sent events for the gateway's page: all that it shows, then, at most once a second, the cells that have changed.
 *
 * Somebody has to look for that, and an open page is to keep the gateway awake no longer than it is worth: a stream does so for as
 * long as something happens. When nothing has for QUIET, it is ended, and the gateway may rest. The browser's EventSource is told
 * to come back after RETRY, and the page's script has it come at once when its person is there again (gateway-script.ts). Who
 * comes back by itself and finds all as it was is sent away again at once. A stream that ends for any other reason, for the
 * gateway is told to rest or to leave for another, is opened again after AGAIN, which wakes the next gateway. No app is woken by it.
 */
import type http from 'node:http'
import { now } from './clock.js'

/** All in ms. */
export interface Times {
  /** Between two looks. */
  look: number
  quiet: number
  retry: number
}

const TIMES: Times = { look: 1000, quiet: 5 * 60_000, retry: 15 * 60_000 }

/** ms after which a browser comes again. */
const AGAIN = 1000

/** Bytes that may wait for one who does not read them. */
const MOST = 2 ** 20

/** How things stand. */
export interface View {
  /** The same as long as nothing has happened: what merely fluctuates (memory) is not in it. */
  sign: string
  names: string[]
  summary: string
  /** What is in each cell, by its id. */
  cells: [string, string][]
}

export class Streams {
  readonly #open = new Set<http.ServerResponse>()
  #timer: NodeJS.Timeout | undefined
  #last: View | undefined
  /** ms, monotonic: when something happened, or somebody came. */
  #changedAt = 0
  readonly #leave = () => this.end()

  constructor(
    private readonly look: () => View,
    private readonly times: Times = TIMES,
  ) {}

  /**
   * @param token what a button has to send; undefined where there are none
   * @param kept called once the stream stays open
   */
  add(request: http.IncomingMessage, response: http.ServerResponse, token: string | undefined, kept: () => void): void {
    const view = this.look()
    const { sign, names, summary, cells } = view
    response.write(`retry: ${AGAIN}\nid:\n${event('all', { token, names, summary, cells })}`)
    if (request.headers['last-event-id'] === sign) return this.#pause(response, sign)
    kept()
    this.#changedAt = now()
    this.#open.add(response)
    response.once('close', () => this.#closed(response))
    if (this.#timer !== undefined) return
    this.#last = view
    this.#timer = setInterval(() => this.#tick(), this.times.look)
    process.once('SIGTERM', this.#leave)
  }

  /** All of them; the browsers come again. */
  end(): void {
    for (const response of this.#open) response.end()
  }

  #tick(): void {
    const view = this.look()
    const { sign, names, summary } = view
    if (this.#last && `${names}` !== `${this.#last.names}`) return this.end() // their pages are to be other ones
    const last = new Map(this.#last?.cells)
    const cells = view.cells.filter(([id, html]) => last.get(id) !== html)
    if (sign !== this.#last?.sign) this.#changedAt = now()
    const hasChanged = cells.length > 0 || summary !== this.#last?.summary
    this.#last = view
    if (hasChanged) this.#tell(event('some', { summary, cells }))
    if (now() - this.#changedAt >= this.times.quiet) for (const response of this.#open) this.#pause(response, sign)
  }

  #tell(text: string): void {
    for (const response of this.#open) {
      if (response.writableLength > MOST) response.destroy()
      else response.write(text)
    }
  }

  /** Only who was sent away says what it saw last. */
  #pause(response: http.ServerResponse, sign: string): void {
    response.end(`retry: ${this.times.retry}\nid: ${sign}\n${event('pause', {})}`)
  }

  #closed(response: http.ServerResponse): void {
    this.#open.delete(response)
    if (this.#open.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    process.off('SIGTERM', this.#leave)
  }
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
