/** Workers that hang, seem to, or will not end. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { awake, readied, spin } from '../support/awake.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { failures, load } from '../support/load.js'
import { FIXTURES, fixture, isAlive, type Lookout, temporaryFolder, until } from '../support/lookout.js'
import { rewritten } from '../support/stats-file.js'

/** ms that a worker may hang. */
const WATCHDOG = 2000

/** ms that a worker has to end. */
const GRACE = 1000

/** ms since then. */
function since(start: number): number {
  return Math.round(performance.now() - start)
}

/** From the shortest to the longest. */
function range(times: number[]): string {
  return `${Math.min(...times).toLocaleString('en')} to ${Math.max(...times).toLocaleString('en')} ms`
}

/** Two workers under the watchdog, and the file in which their master writes once a second. */
async function watched(env: NodeJS.ProcessEnv = {}): Promise<{ lookout: Lookout; stats: string }> {
  const stats = path.join(temporaryFolder(), 'stats.json')
  const options = ['--watchdog', `${WATCHDOG}ms`, '--idle', '60s', '--stats-file', stats]
  return { lookout: await awake(2, [...options, fixture('plain.js')], { env }), stats }
}

/** Nobody was killed, and all goes on. */
async function unharmed(lookout: Lookout, stats: string, workers: number[]): Promise<void> {
  await rewritten(stats, 1 + (2 * WATCHDOG) / 1000)
  expect(lookout.workers).to.have.members(workers)
  expect(lookout.count(/hangs|ends:|killed/), lookout.stderr).to.equal(0)
  expect((await request(lookout.url)).body).to.equal('hello')
}

/** 4 s of standstill of the master, or of all of them; the master is the first to go on. */
async function stopped(withWorkers: boolean): Promise<number> {
  const { lookout, stats } = await watched()
  const { master, workers } = lookout
  const pids = [master!, ...(withWorkers ? workers : [])]
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const start = performance.now()
  await until('4 s', () => since(start) > 4000)
  for (const pid of pids) process.kill(pid, 'SIGCONT')
  await unharmed(lookout, stats, workers)
  return workers.length
}

/** The wall clock is set forward, then back. */
async function stepped(): Promise<number> {
  const folder = temporaryFolder()
  const [library, CLOCK] = [path.join(folder, 'clock.so'), path.join(folder, 'clock')]
  execFileSync('gcc', ['-shared', '-fPIC', '-o', library, path.join(FIXTURES, 'clock.c')])
  fs.writeFileSync(CLOCK, '0')
  const { lookout, stats } = await watched({ LD_PRELOAD: library, CLOCK })
  const { workers } = lookout
  for (const seconds of [3600, -3600]) {
    fs.writeFileSync(CLOCK, `${seconds}`)
    // Node makes the date of its answers once a second.
    const shift = async () => Date.parse((await request(lookout.url)).headers.date!) - Date.now()
    await until('the step is seen', async () => Math.abs((await shift()) / 1000 - seconds) < 5)
    await rewritten(stats, 1)
    await unharmed(lookout, stats, workers)
  }
  return workers.length
}

/** TERM to lookout, whose app ignores it: ms to its end. */
async function ignoredAtTheEnd(): Promise<number> {
  const lookout = await awake(1, ['--grace', `${GRACE}ms`, fixture('stubborn.js')])
  const start = performance.now()
  expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  expect(lookout.stdout).to.include('SIGTERM ignored')
  return since(start)
}

/** A worker that was replaced ignores it: ms to its end. */
async function ignoredAtRestart(): Promise<number> {
  const lookout = await awake(1, ['--grace', `${GRACE}ms`, fixture('stubborn.js')])
  const [worker] = lookout.workers
  lookout.signal('SIGUSR2')
  await readied(lookout, 2)
  const start = performance.now()
  await until('the old one gone', () => !isAlive(worker!))
  expect(lookout.stdout).to.include('SIGTERM ignored')
  return since(start)
}

/** A master that is stopped does not hear it: ms to the end of lookout. */
async function unheard(): Promise<number> {
  const lookout = await awake(1, ['--grace', `${GRACE}ms`, fixture('plain.js')])
  const pids = [lookout.master!, ...lookout.workers]
  process.kill(pids[0]!, 'SIGSTOP')
  const start = performance.now()
  expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  const took = since(start)
  await until('all gone', () => !pids.some(isAlive))
  return took
}

describe('workers that hang', () => {
  fault(14, 'an event loop that hangs', 'killed in T to T + 1 s, 0 errors of its peers', async () => {
    const { lookout } = await watched()
    const times: number[] = []
    let served = 0
    for (let ready = 3; ready <= 5; ready++) {
      const start = performance.now()
      const spun = await spin(lookout)
      const clients = load(lookout.url, { clients: 4, keepAlive: ready % 2 === 0 })
      await until('gone', () => !isAlive(spun))
      times.push(since(start))
      await readied(lookout, ready)
      const counts = await clients.stop()
      expect(failures(counts), clients.errors.join('\n')).to.equal(0)
      served += counts.ok
    }
    for (const time of times) expect(time, 'ms').to.be.within(WATCHDOG, WATCHDOG + 1000)
    expect(lookout.count(/hangs: its event loop has not turned for 2 s/)).to.equal(3)
    expect(lookout.workers.length).to.equal(2)
    return `3 killed after ${range(times)} (T is ${WATCHDOG / 1000} s), 0 of ${served.toLocaleString('en')} requests lost`
  })

  fault(15, 'a false hang: the master stopped for 4 s, the wall clock set', '0 workers killed', async () => {
    const counts = await Promise.all([stopped(false), stopped(true), stepped()])
    const workers = counts.reduce((sum, count) => sum + count, 0)
    return `0 of ${workers} killed: master stopped, all stopped, clock set by 1 h and by -2 h; T is ${WATCHDOG / 1000} s`
  })

  fault(16, 'TERM is ignored', 'killed at grace + 1 s at the latest', async () => {
    const times = await Promise.all([ignoredAtTheEnd(), ignoredAtRestart()])
    const master = await unheard()
    for (const time of times) expect(time, 'ms').to.be.within(GRACE - 50, GRACE + 1000)
    expect(master, 'ms').to.be.within(GRACE + 1000, GRACE + 1500)
    return `workers after ${range(times)}, a master that is stopped after ${master.toLocaleString('en')} ms (grace is ${GRACE / 1000} s)`
  })
})
