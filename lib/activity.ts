/** What a worker is doing, for itself and for its master, and how it stops doing it. */
import type http from 'node:http'
import type net from 'node:net'
import type { Busy } from './busy.js'
import { now } from './clock.js'
import { type Connection, Connections, ENDED, isHttp, SILENT, SPARED } from './connections.js'
import { holds } from './hold.js'
import type { Overlooked } from './overlooked.js'
import { posix } from './posix.js'
import { Field, type Words } from './slot.js'

/** ms within which a new connection may be expected to send its request, when the app is to stop. */
const FIRST_DATA = 1000
/** ms that a peer has to close its side of a connection we ended. */
const LINGER = 100

export class Activity {
  readonly #connections: Connections
  #seen = { requests: 0, accepted: 0 }

  /**
   * @param closed called after each connection's end
   * @param answered called once, after the first answer
   */
  constructor(
    private readonly slot: Words,
    private readonly overlooked: Overlooked,
    closed: () => void,
    answered: () => void,
  ) {
    slot[Field.lastActive] = now()
    this.#connections = new Connections(slot, overlooked, closed, answered)
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

  /** Says in the shared slot whether there is work, or when there last was. */
  checkIn(): Busy {
    const { requests, ignored, upgraded, passedAt, raw, quiet } = this.#connections.census()
    const busy = { requests: requests - ignored, upgraded, passedAt, raw, handshakes: this.#fresh, holds: reasons() }
    const isBusy = busy.requests + upgraded + raw + busy.handshakes + busy.holds.length > 0
    const hasWorked = this.#hasWorked()
    if (isBusy) this.slot[Field.lastActive] = Number.POSITIVE_INFINITY
    else if (hasWorked || this.slot[Field.lastActive] === Number.POSITIVE_INFINITY) this.slot[Field.lastActive] = now()
    this.slot[Field.inFlight] = requests + upgraded + raw + quiet.length
    this.slot[Field.lastCheckin] = now()
    return busy
  }

  /** Whether there was work since the last look: a request, or a connection, that is not left out. */
  #hasWorked(): boolean {
    const requests = this.slot[Field.requests]! - this.overlooked.requests
    const accepted = this.slot[Field.accepted]! - this.overlooked.connections
    const before = this.#seen
    this.#seen = { requests, accepted }
    return requests > before.requests || accepted > before.accepted // fewer: who was accepted has turned out to be left out
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
    const { requests, upgraded, raw, idle, quiet } = this.#connections.census()
    const waiting = patient ? idle.length : idle.filter(connection => !this.#end(connection)).length
    for (const session of this.#connections.sessions) session.close()
    if (requests === 0) for (const connection of quiet) this.#end(connection, true)
    if (cut && requests === 0) for (const connection of this.#connections.open()) this.#end(connection, true)
    return { requests: requests + waiting + this.#fresh + holds().size, others: upgraded + raw + quiet.length }
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
    if (!atOnce && (fresh || hasJustSent(connection))) return false
    if (connection[ENDED] === undefined) {
      connection[ENDED] = time
      connection.end()
    } else if (time - connection[ENDED] > LINGER) connection.destroy()
    return connection.destroyed
  }
}

/** Whether a request has come that is not read yet. One look is enough: it is read before the next step. */
function hasJustSent(connection: Connection): boolean {
  if (connection[SPARED]) return false
  connection[SPARED] = true
  return posix.readable(connection._handle?.fd ?? -1) > 0
}

/** What the app holds itself awake for. */
function reasons(): string[] {
  return [...holds()].map(({ reason }) => reason)
}
