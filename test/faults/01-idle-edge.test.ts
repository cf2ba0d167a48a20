/** Who comes in the moment in which an app goes to rest. */
import http from 'node:http'
import { expect } from 'chai'
import { outcome, outcomeOf, request } from '../support/client.js'
import { atTheEdge, type Cycles, type Ender, lookout, plainNode } from '../support/edge.js'
import { type Figure, fault } from '../support/faults.js'
import { cleanups } from '../support/lookout.js'
import { number, Tally } from '../support/tally.js'

/** ms */
const IDLE = 50

/** Of those that are to lose nothing, and of those that lose so many that fewer will do. */
const NEW = { clients: 160, requests: 10_000, ends: 50 }
const NEW_PLAIN = { clients: 160, requests: 2_000, ends: 10 }
const KEPT = { clients: 50, requests: 1_000, ends: 20 }
const KEPT_PLAIN = { clients: 50, requests: 500, ends: 10 }

describe('the moment in which an app goes to rest', () => {
  fault(1, 'clients at idle ± 3 ms, 2 workers', '0 of 10,000 lost, over 50 cycles', async () => {
    const held = await lookout(IDLE, 2)
    const seen = await newConnections(held, NEW)
    expect(seen.tally.counts).to.deep.equal({ ok: seen.tally.total })
    expect(held.lookout.stderr).not.to.match(/exited with code|was killed|cannot/)
    return beside(seen, await newConnections(await plainNode(IDLE), NEW_PLAIN))
  })

  fault(3, 'kept connections, used again at idle ± 3 ms', '0 lost, each exit with 0 open sockets', async () => {
    const held = await lookout(IDLE, 2)
    const seen = await keptConnections(held, KEPT)
    expect(seen.tally.counts).to.deep.equal({ ok: seen.tally.total })
    await held.lookout.stop()
    const exits = [...held.lookout.stdout.matchAll(/^exits with (\d+) open$/gm)]
    expect(exits.length).to.be.at.least(held.ends.length)
    expect(exits.filter(([, open]) => open !== '0')).to.deep.equal([])
    seen.text += `; ${exits.length} exits with 0 open sockets`
    return beside(seen, await keptConnections(await plainNode(IDLE), KEPT_PLAIN))
  })
})

interface Seen {
  tally: Tally
  text: string
}

function beside(seen: Seen, baseline: Seen): Figure {
  return { figure: `${seen.tally}; ${seen.text}`, baseline: `${baseline.tally}; ${baseline.text}` }
}

/** Each client with a connection of its own. */
async function newConnections(app: Ender, cycles: Cycles): Promise<Seen> {
  const tally = new Tally()
  const close = await atTheEdge(app, cycles, async () => {
    tally.add(await outcome(app.url, '/', ({ status, body }) => status === 200 && body === 'hello'))
  })
  return { tally, text: `it ended ${app.ends.length} times, ${number(close)} clients within 3 ms of that` }
}

/**
 * Each client with a connection that it keeps. When that was closed before an answer began, it may ask once more, on another: so
 * RFC 9110 has it (9.2.2), and browsers do.
 */
async function keptConnections(app: Ender, cycles: Cycles): Promise<Seen> {
  const agent = new http.Agent({ keepAlive: true })
  cleanups.push(() => agent.destroy())
  const tally = new Tally()
  let again = 0
  const close = await atTheEdge(app, cycles, async client => {
    const path = client % 2 ? '/' : '/slow?20' // which the end of it may not cut
    const right = (body: string) => body === (client % 2 ? 'hello' : 'slow')
    try {
      tally.add(right((await request(app.url, path, { agent })).body) ? 'ok' : 'wrong')
    } catch (error) {
      if (!(error as { reused?: boolean }).reused) return tally.add(outcomeOf(error))
      again++
      tally.add(await outcome(app.url, path, ({ body }) => right(body)))
    }
  })
  return {
    tally,
    text: `it ended ${app.ends.length} times, ${number(close)} requests within 3 ms of that, ${again} asked again`,
  }
}
