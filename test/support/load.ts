/** Clients that ask again and again, and what became of each request. */
import http from 'node:http'
import { type Outcome, outcomeOf, type Reply, request } from './client.js'
import { cleanups } from './lookout.js'

export interface Load {
  counts: Record<Outcome, number>
  /** The first failures, as text. */
  errors: string[]
  /** Asks no more; resolves when everybody has an answer. */
  stop(): Promise<Record<Outcome, number>>
}

/** How many failures are kept as text. */
const FEW = 5

interface LoadOptions {
  clients: number
  keepAlive: boolean
  path?: string
  /** Instead of the address. */
  host?: string
  right?(reply: Reply): boolean
}

/** Begins at once. Every client has one request in flight at a time. */
export function load(url: string, { clients, keepAlive, path = '/', host, right = ok }: LoadOptions): Load {
  const counts: Record<Outcome, number> = { ok: 0, refused: 0, reset: 0, cut: 0, timeout: 0, wrong: 0, other: 0 }
  const agent = keepAlive ? new http.Agent({ keepAlive: true, maxSockets: clients }) : false
  const errors: string[] = []
  const note = (error: string) => errors.length < FEW && errors.push(error)
  let going = true
  const client = async () => {
    while (going) {
      try {
        const reply = await request(url, path, {
          agent,
          timeout: 30_000,
          ...(host !== undefined && { headers: { Host: host } }),
        })
        counts[right(reply) ? 'ok' : 'wrong']++
        if (!right(reply)) note(`${reply.status} ${reply.body.slice(0, 100)}`)
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        note(`${code} ${message}`)
        counts[outcomeOf(error)]++
      }
    }
  }
  const all = Promise.all(Array.from({ length: clients }, client))
  return {
    counts,
    errors,
    async stop() {
      going = false
      await all
      if (agent) agent.destroy()
      return counts
    },
  }
}

function ok({ status }: Reply): boolean {
  return status === 200
}

/** Requests that failed, whichever way. */
export function failures({ ok: _, ...others }: Record<Outcome, number>): number {
  return Object.values(others).reduce((sum, count) => sum + count, 0)
}

/** So many connections at once, which stay open; each with the one request it makes. */
export function hold(url: string, count: number, path = '/'): { agent: http.Agent; replies: Reply[]; errors: Error[] } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: count })
  cleanups.push(() => agent.destroy())
  const replies: Reply[] = []
  const errors: Error[] = []
  for (let index = 0; index < count; index++) {
    request(url, path, { agent }).then(
      reply => replies.push(reply),
      error => errors.push(error),
    )
  }
  return { agent, replies, errors }
}
