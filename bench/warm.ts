/** Under load. */
import { execFileSync } from 'node:child_process'
import http from 'node:http'
import path from 'node:path'
import { until } from '../dist/test/support/lookout.js'
import { app, type Server } from './processes.ts'
import { interleave, isHere, type Measure, pause, type Unit } from './sampling.ts'
import type { Kind } from './servers.ts'
import * as servers from './servers.ts'

const CONNECTIONS = 64

/** requests/s of wrk with one thread. @throws when a request failed */
function wrk({ port, host }: Server, seconds: number, ...given: string[]): number {
  const headers = host === undefined ? given : [...given, `Host: ${host}`]
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
    const server = await kind.start({ app: app('hello.cjs'), workers })
    started.push({ kind, server })
    await until(
      `${workers} workers of ${kind.name}`,
      async () => (await pidsThatAnswer(server)).size >= workers,
      30_000,
    )
    wrk(server, 1)
  }
  return started
}

export function load(measure: string, unit: Unit, workers: number, kinds: Kind[], ...headers: string[]): Measure {
  return async ({ loads, seconds }) => {
    const started = await startAll(kinds, workers)
    const entries = started.map(({ kind, server }) => ({
      server: kind.name,
      sample: async () => wrk(server, seconds, ...headers),
      stop: () => server.stop(),
    }))
    return interleave(measure, unit, loads, entries)
  }
}

/** Asks for the pid on so many connections at once that stay open. */
async function pidsByConnection({ port, host }: Server): Promise<Map<number, number>> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const pid = () =>
    new Promise<number>((resolve, reject) => {
      http
        .get(
          { host: '127.0.0.1', port, path: '/pid', agent, headers: host === undefined ? {} : { Host: host } },
          response => {
            response.setEncoding('utf8').on('data', text => resolve(Number(text)))
          },
        )
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

const pidsThatAnswer = async (server: Server): Promise<Set<number>> => new Set((await pidsByConnection(server)).keys())

const WORKERS = 4

export const spread: Measure = async ({ loads }) => {
  const started = await startAll([servers.lookout, servers.clusterRoundRobin, servers.clusterShared], WORKERS)
  const entries = started.map(({ kind, server }) => ({
    server: kind.name,
    async sample() {
      const counts = [...(await pidsByConnection(server)).values()]
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

export const latency: Measure = async ({ loads, seconds }) => {
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
