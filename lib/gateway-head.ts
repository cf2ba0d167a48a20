/** The head of a request that is still in its socket, read from a copy by Node's own parser. */
import http from 'node:http'
import { Duplex } from 'node:stream'

type Done = (request?: http.IncomingMessage) => void

const DONE = Symbol('done')

/** Bytes as a connection. What is written goes nowhere: it would be Node's own answer to what is malformed. */
class Bytes extends Duplex {
  [DONE]: Done | undefined

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    this[DONE]?.()
    done()
  }
}

/** Those that read so much at most, by that: they are given bytes, and never answer. */
const parsers = new Map<number, http.Server>()

function parserOf(most: number): http.Server {
  const known = parsers.get(most)
  if (known) return known
  const parser = http.createServer({ maxHeaderSize: most })
  for (const event of ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect']) {
    parser.on(event, (request: http.IncomingMessage) => (request.socket as unknown as Bytes)[DONE]?.(request))
  }
  parser.on('clientError', (_error, socket) => (socket as unknown as Bytes)[DONE]?.())
  parsers.set(most, parser)
  return parser
}

/**
 * @param most bytes of a head, as Node counts them
 * @param see is given the request as soon as its head is whole
 * @returns what `see` returns; undefined where Node refuses the request, 'more' where its head is not whole
 */
export function readHead<T>(
  bytes: Buffer,
  most: number,
  see: (request: http.IncomingMessage) => T,
): Promise<T | 'more' | undefined> {
  return new Promise(resolve => {
    const connection = new Bytes()
    const settle = (seen: T | 'more' | undefined) => {
      connection[DONE] = undefined
      connection.destroy()
      resolve(seen)
    }
    connection[DONE] = request => settle(request && see(request))
    connection.on('error', () => {})
    parserOf(most).emit('connection', connection)
    connection.push(bytes)
    setImmediate(() => setImmediate(() => connection[DONE] && settle('more')))
  })
}
