/**
 * What is there and yet keeps no app awake: requests that the app's rules leave out, and upgraded connections (WebSockets) over
 * which nothing passes, where a limit says how long that may be.
 */
import type http from 'node:http'
import type net from 'node:net'
import { now } from './clock.js'
import { counts, type Rules } from './rules.js'

const IGNORED = Symbol('lookout.ignored')
const TRAFFIC = Symbol('lookout.traffic')

/** Bytes that may pass between two looks and be nothing: the pings of WebSockets, Socket.IO and Vite have less. */
const PING = 32

type Connection = net.Socket & { [IGNORED]?: boolean; [TRAFFIC]?: { bytes: number; at: number } }

const REQUESTS = ['request', 'checkContinue', 'checkExpectation']
const UPGRADES = ['upgrade', 'connect']

export class Overlooked {
  /** How many the rules have left out: requests, and connections that began with one. */
  requests = 0
  connections = 0

  /** @param limit ms after which an upgraded connection keeps nothing awake; 0: none */
  constructor(
    private readonly limit: number,
    private readonly rules: Rules,
  ) {}

  /** Looks at each request of this server before the app does, where there are rules. */
  watch(server: net.Server): void {
    if (!this.rules.ignore && !this.rules.wakeOn) return
    const emit = server.emit as (...args: unknown[]) => boolean
    const see = (event: string, request: http.IncomingMessage) => this.#see(event, request)
    server.emit = function (this: net.Server, event: string, ...args: unknown[]): boolean {
      if (REQUESTS.includes(event) || UPGRADES.includes(event)) see(event, args[0] as http.IncomingMessage)
      return emit.call(this, event, ...args)
    } as typeof server.emit
  }

  #see(event: string, request: http.IncomingMessage): void {
    const socket = request.socket as Connection
    const isFirst = socket[IGNORED] === undefined
    socket[IGNORED] = !counts(request, this.rules)
    if (!socket[IGNORED]) return
    if (isFirst) this.connections++
    if (REQUESTS.includes(event)) this.requests++
  }

  /** Whether what is being done on it was left out. */
  isIgnored(connection: net.Socket): boolean {
    return (connection as Connection)[IGNORED] === true
  }

  /** Of an upgraded connection: when something last passed over it, as far as we have looked. ms, monotonic */
  passedAt(connection: Connection): number {
    const bytes = connection.bytesRead + connection.bytesWritten
    connection[TRAFFIC] ??= { bytes, at: now() }
    const traffic = connection[TRAFFIC]
    if (bytes - traffic.bytes > PING) traffic.at = now()
    traffic.bytes = bytes
    return traffic.at
  }

  /** Whether nothing has passed for so long that it keeps nothing awake. */
  isQuiet(passedAt: number): boolean {
    return this.limit > 0 && now() - passedAt >= this.limit
  }
}
