/** What resting costs, and how soon it begins. */
import fs from 'node:fs'
import { childrenOf } from '../dist/test/support/lookout.js'
import { ask } from './ask.ts'
import { app } from './processes.ts'
import { interleave, isHere, type Measure, pause, type Series } from './sampling.ts'
import * as servers from './servers.ts'

/** kB that no other process has. */
function privateDirty(pids: number[]): number {
  const kb = (pid: number) =>
    Number(/^Private_Dirty:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
  return pids.map(kb).reduce((sum, each) => sum + each, 0)
}

export const memory: Measure = async () => {
  const kinds = [
    servers.lookout,
    servers.systemdActivate,
    servers.inetd,
    servers.uwsgi,
    servers.passenger,
    servers.node,
    servers.clusterRoundRobin,
    servers.pm2,
  ]
  const series: Series[] = []
  for (const kind of kinds.filter(isHere)) {
    const server = await kind.start({ app: app('hello.cjs') })
    await pause(3000) // whatever it does after its start is over
    series.push({
      measure: 'private dirty memory at rest',
      server: kind.name,
      unit: 'kB',
      samples: [privateDirty(server.pids())],
    })
    await server.stop()
  }
  return series
}

/** The resting program itself with one app, and with as many as it may have: what a further one costs. */
export const furtherApps: Measure = async ({ apps }) => {
  const cost = async (count: number) => {
    const server = await servers.startMany(count)
    const kb = privateDirty(server.pids())
    await server.stop()
    return kb
  }
  const one = await cost(1)
  const samples = [((await cost(apps)) - one) / (apps - 1)]
  return [{ measure: `private dirty memory, each of ${apps - 1} further apps`, server: 'lookout', unit: 'kB', samples }]
}

const IDLE = 1000

/** From when the idle time is over, counted from the last answer, until no process but lookout is left. */
export const end: Measure = async ({ wakes }) => {
  const server = await servers.lookout.start({ app: app('hello.cjs'), idle: IDLE })
  const entry = {
    server: 'lookout',
    async sample() {
      await ask(server.port)
      const due = performance.now() + IDLE
      await pause(IDLE / 2)
      while (childrenOf(server.pid).length > 0) await pause(1)
      return performance.now() - due
    },
    stop: () => server.stop(),
  }
  return interleave('from the end of idle to nothing but lookout', 'ms', wakes, [entry])
}
