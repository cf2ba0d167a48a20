/**
 * Answers in the app's place while it fails: 503 with the reason. A connection that comes when the next try is due is left
 * in the queue for the app, so that whoever fixed it and reloads is served by it.
 */
import http from 'node:http'
import type { Acceptor } from './acceptor.js'
import { attach } from './attach.js'
import { type Failing, render } from './page.js'
import type { Group } from './sockets.js'

/** ms that a client may take for a request that will be answered 503 anyway. */
const PATIENCE = 5000

export interface StandInHooks {
  /** A connection waits: true to answer it here, false to leave it in the queue. */
  admit(): boolean
  /** What to say, asked for each request. */
  failing(): Failing
}

export class StandIn {
  readonly #servers: http.Server[] = []
  readonly #acceptors: Acceptor[] = []

  constructor(groups: Group[], hooks: StandInHooks, hosts?: string[]) {
    for (const group of groups) {
      const server = http.createServer((request, response) => answer(request, response, hooks.failing()))
      server.headersTimeout = server.requestTimeout = PATIENCE
      server.on('upgrade', (_request, socket) => {
        socket.end(
          `HTTP/1.1 503 Service Unavailable\r\nRetry-After: ${hooks.failing().retryAfter}\r\nConnection: close\r\n\r\n`,
        )
      })
      const acceptor = attach(server, group, { admit: () => (hooks.admit() ? 'now' : 'later'), hosts })
      this.#servers.push(server)
      if (acceptor) this.#acceptors.push(acceptor)
    }
  }

  /** Accepts again. */
  start(): void {
    for (const acceptor of this.#acceptors) acceptor.start()
  }

  /** Leaves connections in the queue; those it has are answered. */
  stop(): void {
    for (const acceptor of this.#acceptors) acceptor.stop()
  }

  /** Answers what it has, then is gone. */
  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(server => {
        const closed = new Promise<void>(resolve => server.close(() => resolve()))
        setTimeout(() => server.closeAllConnections(), PATIENCE).unref()
        return closed
      }),
    )
  }
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, failing: Failing): void {
  const page = render(failing, request.headers.accept ?? '', process.env.NODE_ENV === 'production')
  response.writeHead(503, {
    'Content-Type': page.type,
    'Content-Length': Buffer.byteLength(page.body),
    'Retry-After': failing.retryAfter,
    'Cache-Control': 'no-store',
    Connection: 'close', // the next request takes its place in the queue, where the app can get it
  })
  response.end(request.method === 'HEAD' ? undefined : page.body)
}
