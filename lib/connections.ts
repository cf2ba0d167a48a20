/**
 * The connections of an app's servers, by what they are doing: derived from what Node keeps of them, and not counted along. A
 * request in flight is a response that is not finished on a connection that is still there.
 */
import diagnostics from 'node:diagnostics_channel'
import type http from 'node:http'
import type http2 from 'node:http2'
import type net from 'node:net'
import type tls from 'node:tls'
import { now } from './clock.js'
import type { Overlooked } from './overlooked.js'
import { Field, type Words } from './slot.js'

const SERVER = Symbol('lookout.server')
export const ENDED = Symbol('lookout.ended')
export const SILENT = Symbol('lookout.silent')
export const SPARED = Symbol('lookout.spared')

/** With Node's own count of its connections. */
type Server = net.Server & { [SERVER]?: true; _connections: number }

export type Connection = net.Socket & {
  server?: Server
  /** Node's, of an HTTP connection: null once an upgrade or CONNECT has taken it over. */
  parser?: object | null
  /**
   * Node's, of an HTTP connection: the response that is not yet sent, which its own closeIdleConnections() goes by, too;
   * null once it is, undefined until there was a request.
   */
  _httpMessage?: http.ServerResponse | null
  /** Node's own, with the descriptor; null once it is closed. */
  _handle?: { fd?: number } | null
  /** ms, monotonic: when we ended it. */
  [ENDED]?: number
  /** Whether we have looked for a request that is not read yet, before we end it. */
  [SPARED]?: true
  /** ms, monotonic: when it was first seen without a byte received. */
  [SILENT]?: number
}

/** Connections that may be gone are looked for when there are twice as many as there were, and no fewer than this. */
const FEW = 64

export function isHttp(server: net.Server): boolean {
  return typeof (server as http.Server).closeIdleConnections === 'function' || isHttp2(server)
}

function isHttp2(server: net.Server): boolean {
  return typeof (server as http2.Http2SecureServer).updateSettings === 'function'
}

function isTls(server: net.Server): server is tls.Server {
  return typeof (server as tls.Server).setSecureContext === 'function'
}

/** Connections by what they are doing. */
export interface Census {
  requests: number
  /** Of the requests: such as keep no app awake. */
  ignored: number
  upgraded: number
  /** ms, monotonic: when something last passed over one of those. */
  passedAt: number
  raw: number
  idle: Connection[]
  /** Upgraded connections and answers without an end, of which each may go on for ever, and keep no app awake. */
  quiet: Connection[]
}

export class Connections {
  /**
   * Those that are open, and some that no longer are: to take each out at its end, by a listener and from a Set, would cost a
   * fifth of the new connections a second.
   */
  #connections: Connection[] = []
  #many = FEW
  /** Until the handshake is over, or given up, nothing else knows of a connection to a TLS server. */
  readonly handshakes = new Set<net.Socket>()
  readonly sessions = new Set<http2.ServerHttp2Session>()
  readonly #streams = new Set<http2.ServerHttp2Stream>()
  /** ms, monotonic: when the last one was accepted. */
  acceptedAt = 0
  /** Whether each answer is the last of its connection. */
  isDraining = false
  #counting = false

  /**
   * @param closed called after each connection's end
   * @param answered called once, after the first answer
   */
  constructor(
    private readonly slot: Words,
    private readonly overlooked: Overlooked,
    private readonly closed: () => void,
    private readonly answered: () => void,
  ) {
    diagnostics.subscribe('net.server.socket', message => {
      const { socket } = message as { socket: Connection }
      const { server } = socket
      if (!server?.[SERVER]) return
      if (isTls(server)) this.#shakesHands(socket)
      else this.#track(socket)
    })
  }

  /** Counts what is done on this server's connections. */
  watch(server: net.Server): void {
    const watched = server as Server
    if (watched[SERVER]) return
    watched[SERVER] = true
    this.#count(watched)
    this.overlooked.watch(server)
    if (isHttp(server)) this.#countRequests()
    if (isTls(server)) {
      server.on('secureConnection', socket => {
        const { _parent: raw } = socket as tls.TLSSocket & { _parent?: net.Socket }
        if (raw) this.handshakes.delete(raw)
        this.#track(Object.assign(socket, { server: watched }))
      })
    }
    if (isHttp2(server)) (server as http2.Http2Server).on('session', session => this.#trackSession(session))
  }

  /** Node says how many there are now, by its own property; we listen in. */
  #count(server: Server): void {
    let count = server._connections
    this.slot[Field.connections]! += count
    Object.defineProperty(server, '_connections', {
      configurable: true,
      enumerable: true,
      get: () => count,
      set: (value: number) => {
        this.slot[Field.connections]! += value - count
        const fewer = value < count
        count = value
        if (fewer) this.closed()
      },
    })
  }

  /**
   * A response gets its connection when its turn comes. To listen in there costs a request less than the message that
   * http.server.request.start makes of each.
   */
  #countRequests(): void {
    if (this.#counting) return
    this.#counting = true
    const { ServerResponse } = require('node:http') as typeof http // the app has it by now
    const { assignSocket } = ServerResponse.prototype
    const begun = (connection: Connection, response: http.ServerResponse) => {
      if (!connection.server?.[SERVER]) return
      if (this.slot[Field.requests]!++ === 0) response.once('finish', this.answered)
      if (this.isDraining && response.shouldKeepAlive && !response.headersSent)
        response.setHeader('Connection', 'close')
    }
    ServerResponse.prototype.assignSocket = function (socket) {
      assignSocket.call(this, socket)
      begun(socket, this)
    }
  }

  #shakesHands(socket: net.Socket): void {
    this.acceptedAt = now()
    this.handshakes.add(socket)
    socket.once('close', () => this.handshakes.delete(socket))
  }

  #track(connection: Connection): void {
    this.slot[Field.accepted]!++
    this.acceptedAt = now()
    if (this.#connections.push(connection) < this.#many) return
    this.#many = Math.max(FEW, 2 * this.open().length)
  }

  open(): Connection[] {
    this.#connections = this.#connections.filter(connection => !connection.destroyed)
    return this.#connections
  }

  #trackSession(session: http2.ServerHttp2Session): void {
    this.sessions.add(session)
    session.once('close', () => this.sessions.delete(session))
    session.on('stream', stream => {
      this.slot[Field.requests]!++
      this.#streams.add(stream)
      stream.once('close', () => this.#streams.delete(stream))
    })
  }

  census(): Census {
    const none = { ignored: 0, upgraded: 0, passedAt: 0, raw: 0 }
    const census: Census = { requests: this.#streams.size, ...none, idle: [], quiet: [] }
    for (const connection of this.open()) {
      const { server } = connection
      if (!server || !isHttp(server)) census.raw++
      else if (connection._httpMessage) this.#countRequest(census, connection, connection._httpMessage)
      else if (connection.parser === null) this.#countUpgraded(census, connection)
      else census.idle.push(connection)
    }
    return census
  }

  #countRequest(census: Census, connection: Connection, response: http.ServerResponse): void {
    const isIgnored = this.overlooked.isIgnored(connection)
    if (isIgnored && response.headersSent) return void census.quiet.push(connection)
    census.requests++
    if (isIgnored) census.ignored++
  }

  #countUpgraded(census: Census, connection: Connection): void {
    const passedAt = this.overlooked.passedAt(connection)
    if (this.overlooked.isIgnored(connection) || this.overlooked.isQuiet(passedAt)) {
      census.quiet.push(connection)
      return
    }
    census.upgraded++
    census.passedAt = Math.max(census.passedAt, passedAt)
  }

  /** What is being answered, where it is one request alone. */
  get onlyRequest(): http.IncomingMessage | undefined {
    const [response, ...others] = this.open().flatMap(({ _httpMessage }) => _httpMessage ?? [])
    return others.length === 0 && this.#streams.size === 0 ? response?.req : undefined
  }
}
