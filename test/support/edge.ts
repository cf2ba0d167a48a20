/** Clients that come in the very moment in which an app ends for being idle. */
import type { Readable } from 'node:stream'
import { cleanups, fixture, Lookout, until } from './lookout.js'
import { freePort, Program } from './program.js'
import { random } from './tally.js'

/** ms before and after the moment that is aimed at. */
const SPREAD = 3

/** ms by which it is corrected each time: four of five bursts are to see it end. */
const EARLIER = 1
const LATER = 4

/** What ends when it is idle, and serves whoever comes next. */
export interface Ender {
  url: string
  /** ms: how long it has to be idle for that. */
  idle: number
  /** ms, monotonic: when it was seen to end. */
  ends: number[]
  /** Whether it is done with starting, so that nothing else than clients has it go on. */
  isUp(): boolean
}

/** When a pattern appears in a stream. */
function times(stream: Readable, pattern: RegExp): number[] {
  const seen: number[] = []
  stream.on('data', text => {
    for (const _ of `${text}`.matchAll(pattern)) seen.push(performance.now())
  })
  return seen
}

export async function lookout(idle: number, workers: number): Promise<Ender & { lookout: Lookout }> {
  const options = ['-l', '127.0.0.1:0', '--idle', `${idle}ms`, '-w', `${workers}`]
  const lookout = await Lookout.start([...options, fixture('exits.js')])
  const isUp = () => {
    const [, ...wakes] = lookout.stderr.split(': wakes ')
    const last = wakes.at(-1)
    return last === undefined || last.includes(': ends: ') || last.split(' ready in ').length > workers
  }
  return { lookout, url: lookout.url, idle, ends: times(lookout.child.stderr!, /: ends: idle/g), isUp }
}

/** The same without lookout: an app that ends by itself, and a loop that starts it again. */
export async function plainNode(idle: number): Promise<Ender> {
  const port = await freePort()
  const program = Program.run([fixture('again.js'), fixture('ends-idle.js'), `${idle}`], { PORT: `${port}` })
  cleanups.push(async () => {
    program.child.stdin!.end()
    await program.ended
  })
  const [listens, ends] = [/^listens$/gm, /^ends$/gm].map(pattern => times(program.child.stdout!, pattern))
  return { url: `http://127.0.0.1:${port}`, idle, ends: ends!, isUp: () => listens!.length > ends!.length }
}

export interface Cycles {
  clients: number
  /** How many requests there are to be at least ... */
  requests: number
  /** ... and how often it has to end. */
  ends: number
}

/**
 * Bursts of clients, each at its own moment within 3 ms of that in which the app is about to end. When that is, is learnt: a
 * burst that came too late has the next come earlier, and the reverse.
 * @returns how many came within 3 ms of an end
 */
export async function atTheEdge(app: Ender, cycles: Cycles, ask: (client: number) => Promise<void>): Promise<number> {
  const next = random(1)
  const begun: number[] = []
  let aim = app.idle
  while (begun.length < cycles.requests || app.ends.length < cycles.ends) {
    await until('it is up', app.isUp)
    await ask(0) // from now on it is idle
    const { length } = app.ends
    const since = performance.now()
    const client = async (index: number) => {
      await at(since + aim + SPREAD * (2 * next() - 1))
      begun.push(performance.now())
      await ask(index)
    }
    await Promise.all(Array.from({ length: cycles.clients }, (_, index) => client(index)))
    aim += app.ends.length > length ? -EARLIER : LATER
  }
  return begun.filter(time => app.ends.some(end => Math.abs(end - time) <= SPREAD)).length
}

/** A timer may come a ms late: for the last of it, the event loop is turned. */
async function at(time: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, Math.max(0, time - performance.now() - 2)))
  while (performance.now() < time) await new Promise(resolve => setImmediate(resolve))
}
