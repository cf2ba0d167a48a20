/** From rest to the answer. */
import fs from 'node:fs'
import { childrenOf, until } from '../dist/test/support/lookout.js'
import { ask } from './ask.ts'
import { app as appNamed, freePort } from './processes.ts'
import { type Entry, interleave, isHere, type Measure, pause, SETTLED } from './sampling.ts'
import type { Kind } from './servers.ts'
import * as servers from './servers.ts'

const nothing = async (): Promise<void> => {}

/** lookout, which was awake once before: what it keeps of that is the point. */
async function restingLookout(app: string, workers = 1): Promise<Entry> {
  const server = await servers.lookout.start({ app, workers, idle: 500 })
  const rests = () => until('lookout at rest', () => childrenOf(server.pid).length === 0)
  await ask(server.port)
  await rests()
  return {
    server: workers === 1 ? 'lookout' : `lookout, ${workers} workers`,
    async sample() {
      const took = await ask(server.port)
      await rests()
      return took
    },
    stop: () => server.stop(),
  }
}

/** A server that is started for every request, and measured from when it only listens. */
function activated(kind: Kind, app: string): Entry {
  return {
    server: kind.name,
    async sample() {
      const server = await kind.start({ app })
      await pause(SETTLED)
      const took = await ask(server.port)
      await server.stop()
      return took
    },
    stop: nothing,
  }
}

/** From the start of node to the answer; it is asked every millisecond until it listens. */
function startedAndAsked(app: string): Entry {
  return {
    server: 'node, started and asked',
    async sample() {
      const port = await freePort()
      const begin = performance.now()
      const server = servers.startNode(app, port)
      for (;;) {
        const answered = await ask(port).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ECONNREFUSED') throw error
        })
        if (answered !== undefined) break
        await pause(1)
      }
      const took = performance.now() - begin
      await server.stop()
      return took
    },
    stop: nothing,
  }
}

/** Passenger keeps its own idle time, in whole seconds. */
async function restingPassenger(app: string): Promise<Entry> {
  const server = await servers.passenger.start({ app })
  const rests = () =>
    until(
      'Passenger at rest',
      () => !server.pids().some(pid => /NodeApp/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1'))),
      20_000,
    )
  await rests()
  return {
    server: servers.passenger.name,
    async sample() {
      const took = await ask(server.port)
      await rests()
      return took
    },
    stop: () => server.stop(),
  }
}

export function firstRequest(name: string): Measure {
  return async ({ wakes }) => {
    const app = appNamed(`${name}.cjs`)
    const entries = [await restingLookout(app), startedAndAsked(app)]
    if (isHere(servers.systemdActivate)) entries.push(activated(servers.systemdActivate, app))
    if (name === 'hello') {
      entries.push(await restingLookout(app, 4))
      if (isHere(servers.inetd)) entries.push(activated(servers.inetd, app))
    }
    const series = await interleave(`first request, ${name}`, 'ms', wakes, entries)
    if (name !== 'hello' || !isHere(servers.passenger)) return series
    const few = Math.min(wakes, 3) // it takes seconds to rest
    return [...series, ...(await interleave(`first request, ${name}`, 'ms', few, [await restingPassenger(app)]))]
  }
}
