/** What a worker is doing, for itself and for its master, and how it stops doing it. */
import type http from 'node:http'
import type net from 'node:net'
import { now } from './clock.js'
import { type Connection, Connections, ENDED, isHttp, SILENT } from './connections.js'
import { holds } from './hold.js'
import { Field, type Slot } from './stats.js'
import { plural } from './text.js'

/** ms within which a new connection may be expected to send its request, when the app is to stop. */
const FIRST_DATA = 1000
/** ms that a peer has to close its side of a connection we ended. */
const LINGER = 100

/** How many of something there are; nothing where there are none. */
function some(count: number, what: string): string[] {
  return count === 0 ? [] : [plural(count, what)]
}

export class Activity {
  readonly #connections: Connections
  #seen = ''

  /**
   * @param closed called after each connection's end
   * @param answered called once, after the first answer
   */
  constructor(
    private readonly slot: Slot,
    closed: () => void,
    answered: () => void,
  ) {
    slot[Field.lastActive] = now()
    this.#connections = new Connections(slot, closed, answered)
  }

  /** ms, monotonic: when there last was work; Infinity while there is. */
  get lastActive(): number {
    return this.slot[Field.lastActive]!
  }

  /** Counts what is done on this server's connections. */
  watch(server: net.Server): void {
    this.#connections.watch(server)
  }

  /** What is being answered, where it is one request alone. */
  get onlyRequest(): http.IncomingMessage | undefined {
    return this.#connections.onlyRequest
  }

  /** Handshakes that may be expected to come to an end. */
  get #fresh(): number {
    return now() - this.#connections.acceptedAt < FIRST_DATA ? this.#connections.handshakes.size : 0
  }

  /** Says in the shared slot whether there is work, or when there last was; the reasons while there is. */
  checkIn(): string[] {
    const { requests, upgraded, raw } = this.#connections.census()
    const reasons = [
      ...some(requests, 'request'),
      ...some(upgraded, 'upgraded connection'),
      ...some(raw, 'raw connection'),
      ...some(this.#fresh, 'TLS handshake'),
      ...[...holds()].map(({ reason }) => `hold: ${reason}`),
    ]
    const seen = `${this.slot[Field.requests]} ${this.slot[Field.accepted]}`
    if (reasons.length > 0) this.slot[Field.lastActive] = Number.POSITIVE_INFINITY
    else if (seen !== this.#seen || this.slot[Field.lastActive] === Number.POSITIVE_INFINITY)
      this.slot[Field.lastActive] = now()
    this.#seen = seen
    this.slot[Field.inFlight] = requests + upgraded + raw
    this.slot[Field.lastCheckin] = now()
    return reasons
  }

  /** Ends HTTP connections that have sent nothing for that long: a look now and then is exact enough. */
  endSilent(timeout: number): void {
    const time = now()
    for (const connection of this.#connections.open()) {
      const { server } = connection
      if (!server || !isHttp(server) || connection.bytesRead > 0 || connection._httpMessage !== undefined) continue
      connection[SILENT] ??= time
      if (time - connection[SILENT] >= timeout) connection.destroy()
    }
  }

  /**
   * One step of a drain: asks for no more requests, ends what is idle.
   * @param patient leaves idle connections to their clients: one might be about to be used
   * @param cut also ends upgraded and raw connections, once no request is left
   * @returns how many requests are still in flight, and how much else is open
   */
  drain({ patient, cut }: { patient: boolean; cut: boolean }): { requests: number; others: number } {
    if (!this.#connections.isDraining) this.#announce()
    const { requests, upgraded, raw, idle } = this.#connections.census()
    const waiting = patient ? idle.length : idle.filter(connection => !this.#end(connection)).length
    for (const session of this.#connections.sessions) session.close()
    if (cut && requests === 0) for (const connection of this.#connections.open()) this.#end(connection, true)
    return { requests: requests + waiting + this.#fresh + holds().size, others: upgraded + raw }
  }

  /** Clients learn by the headers of what they are being sent that the connection ends with it. */
  #announce(): void {
    this.#connections.isDraining = true
    for (const { _httpMessage: response } of this.#connections.open()) {
      if (response && !response.headersSent) response.setHeader('Connection', 'close')
    }
  }

  /** Ends a connection politely, then for good; true once it is gone. A new one first gets time for its request. */
  #end(connection: Connection, atOnce = false): boolean {
    const time = now()
    const fresh = connection._httpMessage === undefined && time - this.#connections.acceptedAt < FIRST_DATA
    if (fresh && !atOnce) return false
    if (connection[ENDED] === undefined) {
      connection[ENDED] = time
      connection.end()
    } else if (time - connection[ENDED] > LINGER) connection.destroy()
    return connection.destroyed
  }
}
