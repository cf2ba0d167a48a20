/**
 * The gateway: an app of lookout's own, by whose port every other is reached by name. It looks at the first request of a connection
 * without taking it out of the socket, and hands the connection itself to the app that the request is for, which is woken if it
 * rests: no byte passes through here. Who asks for nobody that is known gets a page that says who is.
 */
import diagnostics from 'node:diagnostics_channel'
import http from 'node:http'
import net from 'node:net'
import { now } from './clock.js'
import { causeOf } from './errors.js'
import { readHead } from './gateway-head.js'
import { heard, type Known } from './gateway-known.js'
import { Came, hostFields, hostOf, oneHost } from './handoff.js'
import { hold } from './hold.js'
import { Control, posix, type Watch } from './posix.js'
import { counts } from './rules.js'
import { RAW } from './sockets.js'

/** Bytes of a request's head at most, as Node itself has it: it counts the target, names and values. */
const HEAD = 16_384

/** The same, with all that is between those. */
const MOST = 4 * HEAD

/** ms that a client has for the head of its first request, and that an app has to take a connection. */
const PATIENCE = 10_000

/** s after which a client may ask again that was not to wake an app. */
const RETRY = 30

/** ms between two tries where an app's queue is full. */
const FULL = 10

/** What is known of the apps, by the host names that are theirs. */
const { hasPort, hasMetrics, apps: known } = heard(process.env)
const byHost = new Map(known.flatMap(app => app.hosts.map(host => [host, app] as const)))

/** What a head says: whom it is for, and whether that may be woken; that there has to be more of it; or that it is for us to answer. */
type Seen = Route | 'more' | 'ours'

interface Route {
  app: Known
  wakes: boolean
}

/** Of connections that came by an app's own address: that app. */
const byAddress = new WeakMap<net.Socket, Known>()

/** Answers what is not for an app: by Node's own server, so that what is malformed is refused as it would be anywhere. */
const pages = http.createServer(
  { maxHeaderSize: HEAD, headersTimeout: PATIENCE, requestTimeout: PATIENCE },
  (request, response) => {
    const seen = routeOf(request, byAddress.get(request.socket))
    if (typeof seen === 'object') return answerFor(seen, request, response)
    if (hostFields(request) > 1 || byHost.has(hostOf(request)))
      return refuse(response, 400, 'That is no request for one host.\n')
    const { answer } = require('./gateway-site.js') as typeof import('./gateway-site.js') // most connections are handed over
    answer(request, response, known, asRaw)
  },
)
pages.timeout = PATIENCE // who neither sends nor takes anything is not waited for

function refuse(response: http.ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
    Connection: 'close',
  })
  response.end(text)
}

/** For an app that is not to be handed the connection, or could not be. */
function answerFor({ app, wakes }: Route, request: http.IncomingMessage, response: http.ServerResponse): void {
  if (!wakes) {
    response.setHeader('Retry-After', RETRY)
    return refuse(response, 503, `${app.name} rests, and this request is none that wakes it.\n`)
  }
  if (app.handoff !== undefined) return refuse(response, 502, 'The app cannot be reached.\n')
  const port = app.urls.map(url => /^http:.*:(\d+)$/.exec(url)?.[1]).find(Boolean)
  if (port === undefined) return refuse(response, 502, `${app.name} is reached at ${app.urls.join(', ')} alone.\n`)
  const path = (request.url ?? '/').replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  response.setHeader('Location', `http://${hostOf(request)}:${port}${path}`)
  refuse(response, 307, `${app.name} is at port ${port}.\n`)
}

/** What keeps us awake for as long as a page is being answered, by the connection. */
const releases = new WeakMap<net.Socket, () => void>()

/**
 * From now on a connection counts like one that speaks no HTTP: it keeps us awake, too, but when we are to leave it is not waited
 * for as a request would be, or a hold: SIGTERM comes at once, and whoever has it ends it.
 */
function asRaw(socket: net.Socket): void {
  socket.setTimeout(0)
  Object.assign(socket, { server })
  diagnostics.channel('net.server.socket').publish({ socket }) // Node's own, by which connections.ts learns of them
  releases.get(socket)?.()
}

/** A connection whose first request has not been seen yet. Owns the descriptor until somebody has it. */
class Arrival {
  readonly #release = hold('a connection that arrives')
  readonly #watch: Watch
  readonly #timer: NodeJS.Timeout
  readonly #since = now()
  #seen = 0
  #state: 'reading' | 'parsing' | 'giving' | 'done' = 'reading'

  /** @param app whose address it came by; undefined where it came by ours */
  constructor(
    private readonly fd: number,
    private readonly app?: Known,
  ) {
    this.#watch = posix.poll(fd, () => this.#look())
    this.#timer = setTimeout(() => this.#late(), PATIENCE)
    posix.control(this.#watch, Control.start)
    this.#look()
  }

  #look(): void {
    if (this.#state !== 'reading') return
    let bytes: Buffer | undefined
    try {
      bytes = posix.peek(this.fd, (this.#seen > HEAD ? MOST : HEAD) + 1)
    } catch {
      return this.#end() // a reset
    }
    if (bytes === undefined) return
    if (bytes.length === 0) return this.#end()
    if (bytes.length === this.#seen) return this.#decide('ours') // it has closed its side before its head was whole
    this.#seen = bytes.length
    this.#state = 'parsing'
    posix.control(this.#watch, Control.stop)
    void readHead(bytes, HEAD, request => routeOf(request, this.app)).then(seen => this.#decide(seen ?? 'ours'))
  }

  #decide(seen: Seen): void {
    if (this.#state === 'done') return
    if (seen === 'more' && this.#seen <= MOST) {
      this.#state = 'reading'
      posix.setsockopt(this.fd, posix.SOL_SOCKET, posix.SO_RCVLOWAT, this.#seen + 1) // else what is there would wake us again
      return posix.control(this.#watch, Control.start)
    }
    if (this.#seen > 1) posix.setsockopt(this.fd, posix.SOL_SOCKET, posix.SO_RCVLOWAT, 1)
    if (seen === 'more' || seen === 'ours' || !(seen.wakes || serves(seen.app))) return this.#answer()
    this.#give(seen.app)
  }

  /** The app has the connection once the message is in its queue, whether it is awake or not. */
  #give(app: Known): void {
    if (app.handoff === undefined) return this.#answer() // none of Node's
    this.#state = 'giving'
    try {
      handOver(app.handoff, this.fd, this.app ? Came.byAddress : Came.byName)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAGAIN' || now() - this.#since > PATIENCE) return this.#answer()
      return void setTimeout(() => this.#give(app), FULL)
    }
    this.#end()
  }

  /** What came is still in the socket: it is read like any request. */
  #answer(): void {
    this.#leave()
    const socket = new net.Socket({ fd: this.fd, readable: true, writable: true })
    if (this.app) byAddress.set(socket, this.app)
    const release = hold('a page')
    releases.set(socket, release)
    socket.once('close', release)
    pages.emit('connection', socket)
  }

  #late(): void {
    if (this.#state === 'done' || this.#state === 'giving') return // to give up is the giver's
    this.#leave()
    const socket = new net.Socket({ fd: this.fd, readable: true, writable: true })
    socket.on('error', () => {})
    socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', () => socket.destroy())
  }

  #leave(): void {
    this.#state = 'done'
    clearTimeout(this.#timer)
    posix.control(this.#watch, Control.close)
    this.#release()
  }

  #end(): void {
    this.#leave()
    posix.close(this.fd)
  }
}

/** @throws the system's error: EAGAIN where too many wait already */
function handOver(path: string, fd: number, came: Came): void {
  const to = posix.socket(posix.AF_UNIX)
  try {
    posix.connect(to, posix.AF_UNIX, path, 0)
    posix.send(to, Buffer.of(came), [fd])
  } finally {
    posix.close(to)
  }
}

function routeOf(request: http.IncomingMessage, given?: Known): Route | 'ours' {
  const app = given ?? byHost.get(oneHost(request) ?? '')
  return app ? { app, wakes: counts(request, app.rules ?? {}) } : 'ours'
}

/** Whether an app is awake, and takes connections. */
function serves({ name }: Known): boolean {
  const site = require('./gateway-site.js') as typeof import('./gateway-site.js')
  return site.serves(name)
}

/** @param app whose address it is; undefined: ours */
function listen(app?: Known): net.Server {
  const server = net.createServer()
  Object.assign(server, { [RAW]: (fd: number) => void new Arrival(fd, app) })
  return server.listen()
}

async function measure(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  if (!/^\/metrics(\?|$)/.test(request.url ?? '')) return refuse(response, 404, 'Metrics are at /metrics.\n')
  const { metricsText, TYPE } = require('./metrics.js') as typeof import('./metrics.js')
  let text: string
  try {
    text = await metricsText(process.env)
  } catch (error) {
    return refuse(response, 500, `What is known of the apps cannot be read: ${causeOf(error)}\n`)
  }
  response.writeHead(200, { 'Content-Type': TYPE, 'Content-Length': Buffer.byteLength(text) })
  response.end(request.method === 'HEAD' ? undefined : text)
}

// The first address is ours, where we have one, the next that of metrics; those of apps follow, in order.
const server = hasPort ? listen() : undefined
if (hasMetrics) http.createServer({ requestTimeout: PATIENCE, headersTimeout: PATIENCE }, measure).listen()
for (const app of known) for (let count = 0; count < app.guarded; count++) listen(app)
