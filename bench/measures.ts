/** What is measured. Every measure takes its servers in turn, round by round, so that what the machine does hits all. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { childrenOf, until } from '../dist/test/support/lookout.js'
import { ask } from './ask.ts'
import type { Kind, Server } from './servers.ts'
import * as servers from './servers.ts'

export type Unit = 'ms' | 'requests/s' | 'connections/s' | 'connections' | 'kB'

/** One server's figures of one measure. */
export interface Series {
  measure: string
  server: string
  unit: Unit
  samples: number[]
}

/** How much is taken of everything. */
export interface Effort {
  /** Times that a first request is made. */
  wakes: number
  /** Times that load is put on each server, and seconds of each. */
  loads: number
  seconds: number
  /** Sockets in one resting process. */
  apps: number
}

type Measure = (effort: Effort) => Promise<Series[]>

/** One server of a measure: `sample` gives its next figure. */
interface Entry {
  server: string
  sample(): Promise<number>
  stop(): Promise<void>
}

const CONNECTIONS = 64

/** ms of quiet before each sample. */
const SETTLED = 500

/** `rounds` figures of each, in turn; the order changes with every round. */
async function interleave(measure: string, unit: Unit, rounds: number, entries: Entry[]): Promise<Series[]> {
  const series = entries.map(({ server }): Series => ({ measure, server, unit, samples: [] }))
  try {
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < entries.length; turn++) {
        const index = (round + turn) % entries.length
        await pause(SETTLED) // a machine that was busy just now is faster
        series[index]!.samples.push(await entries[index]!.sample())
      }
    }
  } finally {
    for (const entry of entries) await entry.stop()
  }
  return series
}

const isHere = (kind: Kind): boolean => kind.version() !== undefined
const nothing = async (): Promise<void> => {}
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

// ---- The first request ----

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
      const port = await servers.freePort()
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

function firstRequest(name: string): Measure {
  return async ({ wakes }) => {
    const app = servers.app(`${name}.cjs`)
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

// ---- Warm ----

/** requests/s of wrk with one thread. @throws when a request failed */
function wrk(port: number, seconds: number, ...headers: string[]): number {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...headers.flatMap(header => ['-H', header])]
  const output = execFileSync('wrk', [...args, `http://127.0.0.1:${port}/`], { encoding: 'utf8' })
  const failed = /Non-2xx.*|Socket errors.*/.exec(output)
  if (failed) throw new Error(`wrk at port ${port}: ${failed[0]}`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)![1])
}

/** Those of `kinds` that are here, with `workers` each, warmed. */
async function startAll(kinds: Kind[], workers: number): Promise<{ kind: Kind; server: Server }[]> {
  const started: { kind: Kind; server: Server }[] = []
  for (const kind of kinds.filter(isHere)) {
    const server = await kind.start({ app: servers.app('hello.cjs'), workers })
    started.push({ kind, server })
    await until(
      `${workers} workers of ${kind.name}`,
      async () => (await pidsThatAnswer(server.port)).size >= workers,
      30_000,
    )
    wrk(server.port, 1)
  }
  return started
}

function load(measure: string, unit: Unit, workers: number, kinds: Kind[], ...headers: string[]): Measure {
  return async ({ loads, seconds }) => {
    const started = await startAll(kinds, workers)
    const entries = started.map(({ kind, server }) => ({
      server: kind.name,
      sample: async () => wrk(server.port, seconds, ...headers),
      stop: () => server.stop(),
    }))
    return interleave(measure, unit, loads, entries)
  }
}

/** Asks for the pid on so many connections at once that stay open. */
async function pidsByConnection(port: number): Promise<Map<number, number>> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const pid = () =>
    new Promise<number>((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port, path: '/pid', agent }, response => {
          response.setEncoding('utf8').on('data', text => resolve(Number(text)))
        })
        .on('error', reject)
    })
  const counts = new Map<number, number>()
  try {
    for (const each of await Promise.all(Array.from({ length: CONNECTIONS }, pid)))
      counts.set(each, (counts.get(each) ?? 0) + 1)
  } finally {
    agent.destroy()
  }
  return counts
}

const pidsThatAnswer = async (port: number): Promise<Set<number>> => new Set((await pidsByConnection(port)).keys())

const WORKERS = 4

const spread: Measure = async ({ loads }) => {
  const started = await startAll([servers.lookout, servers.clusterRoundRobin, servers.clusterShared], WORKERS)
  const entries = started.map(({ kind, server }) => ({
    server: kind.name,
    async sample() {
      const counts = [...(await pidsByConnection(server.port)).values()]
      await pause(100) // the connections close
      return Math.max(...counts) - (counts.length < WORKERS ? 0 : Math.min(...counts))
    },
    stop: () => server.stop(),
  }))
  return interleave(`spread of ${CONNECTIONS} connections, ${WORKERS} workers`, 'connections', 4 * loads, entries)
}

/** Requests that begin when they are due, whether or not the last one was answered: waiting counts. */
const RATE = 4000
const autocannon = path.join(import.meta.dirname, 'node_modules/autocannon/autocannon.js')

const latency: Measure = async ({ loads, seconds }) => {
  const started = await startAll([servers.lookout, servers.clusterRoundRobin, servers.clusterShared], 2)
  const entries = started.map(({ kind, server }) => ({
    server: kind.name,
    async sample() {
      const args = [
        '--json',
        '-c',
        `${CONNECTIONS}`,
        '-R',
        `${RATE}`,
        '-d',
        `${2 * seconds}`,
        `http://127.0.0.1:${server.port}/`,
      ]
      const output = execFileSync(process.execPath, [autocannon, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      return JSON.parse(output).latency.p99 as number
    },
    stop: () => server.stop(),
  }))
  return interleave(`p99 at ${RATE} requests/s, 2 workers`, 'ms', loads, entries)
}

// ---- At rest ----

/** kB that no other process has. */
function privateDirty(pids: number[]): number {
  const kb = (pid: number) =>
    Number(/^Private_Dirty:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
  return pids.map(kb).reduce((sum, each) => sum + each, 0)
}

const memory: Measure = async () => {
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
    const server = await kind.start({ app: servers.app('hello.cjs') })
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
const furtherApps: Measure = async ({ apps }) => {
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
const end: Measure = async ({ wakes }) => {
  const server = await servers.lookout.start({ app: servers.app('hello.cjs'), idle: IDLE })
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

const CLUSTERS = [servers.lookout, servers.clusterRoundRobin, servers.clusterShared]

/** In the order of the table. */
export const MEASURES: Record<string, Measure> = {
  hello: firstRequest('hello'),
  express: firstRequest('express'),
  fastify: firstRequest('fastify'),
  keepalive1: load('keep-alive, 1 worker', 'requests/s', 1, [...CLUSTERS, servers.node]),
  keepalive2: load('keep-alive, 2 workers', 'requests/s', 2, CLUSTERS),
  keepalive4: load('keep-alive, 4 workers', 'requests/s', 4, [...CLUSTERS, servers.pm2]),
  close: load(
    'new connections, 4 workers',
    'connections/s',
    4,
    [...CLUSTERS, servers.clusterReusePort, servers.pm2],
    'Connection: close',
  ),
  spread,
  latency,
  memory,
  apps: furtherApps,
  end,
}
