/**
 * Answers who asks the gateway for itself: with a page that shows how the apps are, its stream of events, and its buttons. Loaded
 * with the first such request, for most connections are for apps, and are handed over without it.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type http from 'node:http'
import net from 'node:net'
import { Apps } from './apps.js'
import { causeOf } from './errors.js'
import { ACTIONS, type Action, act } from './gateway-actions.js'
import type { Known } from './gateway-known.js'
import { cellsOf, notFound, overview, refused, summaryOf } from './gateway-page.js'
import { isForeign, isToken, mayAct, refusal } from './gateway-rules.js'
import { Streams, type View } from './gateway-stream.js'
import { hostOf } from './handoff.js'

/** What a button has to send, which no other page can read. */
const TOKEN = randomUUID()

/** Bytes of a button's request at most. */
const BODY = 1024

/** The page may load nothing, be in no other's frame, and have its form sent only here. */
const policy = (nonce: string) =>
  `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; img-src data:; connect-src 'self'; ` +
  `form-action 'self'; base-uri 'none'; frame-ancestors 'none'`

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin', // with no-referrer a form would be sent with the origin "null"
  'Cross-Origin-Resource-Policy': 'same-origin',
  Connection: 'close', // the next request may be for an app, or for another gateway
}

let apps: Apps | undefined
const streams = new Streams(view)

/** @param stays called with a connection that is open for as long as its client wants */
export function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  known: Known[],
  stays: (socket: net.Socket) => void,
): void {
  const host = hostOf(request)
  const port = request.socket.localPort ?? 0
  if (host !== 'localhost' && net.isIP(host.replace(/[[\]]/g, '')) === 0)
    return html(response, 404, nonce => notFound(known, host, port, nonce))
  apps ??= Apps.find()
  if (!apps) return html(response, 503, nonce => refused('lookout reads its configuration anew: try again', nonce))
  const { lookout } = apps
  const pathname = (request.url ?? '').replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*/s, '')
  const [, action, name] = /^\/(wake|rest|restart)\/([a-z0-9-]+)$/.exec(pathname) ?? []
  if (isAction(action)) return void press(request, response, action, known, name!)
  if (pathname !== '/' && pathname !== '/events')
    return html(response, 404, nonce => refused('There is no such page', nonce))
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return html(response, 405, nonce => refused('There is nothing to send here', nonce))
  const token = mayAct(request, port) ? TOKEN : undefined
  if (pathname === '/events') return stream(request, response, token, stays)
  const found = apps.look()
  html(response, 200, nonce => overview({ apps: found, port, lookout, token }, nonce))
}

function isAction(text: string | undefined): text is Action {
  return (ACTIONS as readonly (string | undefined)[]).includes(text)
}

function html(response: http.ServerResponse, status: number, body: (nonce: string) => string): void {
  const nonce = randomBytes(16).toString('base64')
  const text = body(nonce)
  response.writeHead(status, {
    ...HEADERS,
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Content-Security-Policy': policy(nonce),
    ...(status === 405 && { Allow: 'GET, HEAD' }),
  })
  response.end(response.req.method === 'HEAD' ? undefined : text)
}

function stream(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  token: string | undefined,
  stays: (socket: net.Socket) => void,
): void {
  if (isForeign(request)) return html(response, 403, nonce => refused('Only the page itself has events', nonce))
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' })
  if (request.method === 'HEAD') return void response.end()
  streams.add(request, response, token, () => stays(request.socket))
}

/** Whether an app is awake, and takes connections. */
export function serves(name: string): boolean {
  apps ??= Apps.find()
  return apps?.serves(name) ?? false
}

/** How the apps are, as the page shows it. */
function view(): View {
  const found = apps!.look()
  const happened = found.map(({ state, master, record: { why, ...record } }) => {
    const { wakes, failures, requests, restartsBegun, restartsEnded } = record
    return [state, master, wakes, failures, requests, restartsBegun, restartsEnded]
  })
  return {
    sign: createHash('sha1').update(JSON.stringify(happened)).digest('base64url').slice(0, 12),
    names: found.map(({ name }) => name),
    summary: summaryOf(found),
    cells: found.flatMap(app =>
      Object.entries(cellsOf(app)).map(([column, text]): [string, string] => [`${column}.${app.name}`, text]),
    ),
  }
}

/** A button: what it asks for is begun, and the page is shown anew, or says why not. */
async function press(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  action: Action,
  known: Known[],
  name: string,
): Promise<void> {
  const say = (status: number, why: string) => html(response, status, nonce => refused(why, nonce))
  const refuses = refusal(request, request.socket.localPort ?? 0)
  if (refuses) return say(...refuses)
  const body = await bodyOf(request)
  if (body === 'cut off') return
  if (body === 'too long') return say(413, 'That is too much.')
  if (!isToken(body.get('token'), TOKEN)) return say(403, 'The page was too old: go back to it, and press once more.')
  if (!apps!.look().some(app => app.name === name)) return say(404, `There is no app ${name}.`)
  const handoff = known.find(app => app.name === name)?.handoff
  const failed = await act(action, name, handoff, apps!).catch(error => `cannot ${action} ${name}: ${causeOf(error)}`)
  if (failed !== undefined) return say(502, failed)
  response.writeHead(303, { ...HEADERS, Location: '/' })
  response.end()
}

async function bodyOf(request: http.IncomingMessage): Promise<URLSearchParams | 'cut off' | 'too long'> {
  let text = ''
  try {
    for await (const chunk of request) {
      text += chunk
      if (text.length > BODY) return 'too long'
    }
  } catch {
    return 'cut off'
  }
  return new URLSearchParams(text)
}
