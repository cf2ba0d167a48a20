/**
 * Who may have the gateway's page do something: a person at this machine, by the page itself. Any web page can have a browser send
 * requests here, and by a name of its own that leads here (DNS rebinding) it could even read the answers.
 */
import { timingSafeEqual } from 'node:crypto'
import type http from 'node:http'

/** Why a request is refused: the status, and what is said. */
export type Refusal = readonly [number, string]

export function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address ?? '')
}

/** The one host that a request names, with its port, in lower case; undefined where that is not a name of this machine's own. */
function ownHost({ rawHeaders, headers }: http.IncomingMessage, port: number): string | undefined {
  const named = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length
  const host = (headers.host ?? '').toLowerCase()
  const own = ['localhost', '127.0.0.1', '[::1]'].flatMap(name => [`${name}:${port}`, ...(port === 80 ? [name] : [])])
  return named === 1 && own.includes(host) ? host : undefined
}

/**
 * Whether the page that is answered with may have buttons; what they send is asked {@link refusal}, too.
 * @param port the gateway's
 */
export function mayAct(request: http.IncomingMessage, port: number): boolean {
  return isLoopback(request.socket.remoteAddress) && ownHost(request, port) !== undefined
}

/** Whether another site has a browser ask for it. Who is no browser does not say, and may. */
export function isForeign({ headers }: http.IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

/**
 * Why nothing is done for a request, whatever its token; undefined where it may be.
 * @param port the gateway's
 */
export function refusal(request: http.IncomingMessage, port: number): Refusal | undefined {
  const { method, headers, socket } = request
  if (method !== 'POST') return [405, 'Only a button does that (POST).']
  if (!isLoopback(socket.remoteAddress)) return [403, 'Only from this machine.']
  const host = ownHost(request, port)
  if (host === undefined) return [400, `Only at http://localhost:${port}.`]
  const { origin } = headers
  const isOwn = origin === undefined ? headers['sec-fetch-site'] === 'same-origin' : origin === `http://${host}`
  return isOwn ? undefined : [403, 'Only from the page itself.']
}

/** In constant time, but for the length, which is no secret. */
export function isToken(given: string | null, token: string): boolean {
  const [one, other] = [Buffer.from(given ?? ''), Buffer.from(token)]
  return one.length === other.length && timingSafeEqual(one, other)
}
