/** A client that tells apart how a request can fail, and verifies what it got. */
import http from 'node:http'

export interface Reply {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

export interface RequestOptions extends http.RequestOptions {
  body?: string
  /** Gets the request, before it is sent. */
  made?(outgoing: http.ClientRequest): void
}

/** Where a url of lookout's ready line leads: unix:/path, too. */
export function target(url: string, path = '/'): http.RequestOptions {
  if (url.startsWith('unix:')) return { socketPath: url.slice(5), path }
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/[[\]]/g, ''), port, path }
}

/**
 * One request on a connection of its own (or of `options.agent`). Rejects with the system's error code; `reused` says that the
 * connection had served before, and nothing of an answer came.
 */
export function request(url: string, path = '/', { body, made, ...options }: RequestOptions = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request({ agent: false, ...target(url, path), ...options }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
    })
    outgoing.on('error', error => reject(Object.assign(error, { reused: outgoing.reusedSocket })))
    made?.(outgoing)
    outgoing.end(body)
  })
}

export type Outcome = 'ok' | 'refused' | 'reset' | 'cut' | 'timeout' | 'wrong' | 'other'

/** What became of a request, as the promises count it. */
export async function outcome(url: string, path: string, right: (reply: Reply) => boolean): Promise<Outcome> {
  try {
    return right(await request(url, path, { timeout: 30_000 })) ? 'ok' : 'wrong'
  } catch (error) {
    return outcomeOf(error)
  }
}

/** The same, of an error that {@link request} was rejected with. */
export function outcomeOf(error: unknown): Outcome {
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused'
    case 'ECONNRESET':
      return message === 'socket hang up' ? 'cut' : 'reset'
    case 'ETIMEDOUT':
      return 'timeout'
    default:
      return 'other'
  }
}
