/** What lookout itself costs, whatever its masters do. */
import { expect } from 'chai'
import { awake } from '../support/awake.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { at, Folder, ports } from '../support/folder.js'
import { descriptorsOf, memoryOf, ticks, waiting } from '../support/kernel.js'
import { childrenOf, fixture, type Lookout, until } from '../support/lookout.js'
import { number } from '../support/tally.js'

/** Apps that are woken in turn: one is not woken more than ten times a second. */
const APPS = ['one', 'two', 'three', 'four']

const WAKES = 1000

/** A connection waits for a master that is stopped, as are its workers: ms of CPU time that lookout takes in 10 s. */
async function stuck(): Promise<number> {
  const lookout = await awake(1, [fixture('plain.js')])
  const pids = [lookout.master!, ...lookout.workers]
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const waits = request(lookout.url)
  await until('it waits', () => waiting(lookout.port) === 1)
  const before = ticks(lookout.pid)
  const end = performance.now() + 10_000
  await until('10 s', () => performance.now() > end, 11_000)
  const took = 10 * (ticks(lookout.pid) - before)
  expect(waiting(lookout.port)).to.equal(1)
  for (const pid of pids) process.kill(pid, 'SIGCONT')
  expect((await waits).body).to.equal('hello')
  return took
}

/** What it has, when everybody rests. */
async function costOf(lookout: Lookout): Promise<object> {
  await until('all rest', () => childrenOf(lookout.pid).length === 0)
  return { ...memoryOf(lookout.pid), descriptors: descriptorsOf(lookout.pid) }
}

/** Wakes of real apps: how many, and what lookout has after the first ones and the last. */
async function woken(): Promise<{ wakes: number; before: object; after: object }> {
  const folder = await Folder.make()
  const listen = await ports(APPS.length)
  const apps = APPS.map((name, index) => [name, { script: 'app.js', listen: listen[index] }])
  folder.configure(Object.fromEntries(apps), { defaults: { idle: '10ms' } })
  const lookout = await folder.up()
  const urls = listen.map(at)
  const wake = async (url: string, index: number) => {
    const said = new RegExp(`: ${APPS[index]} rests$`)
    const rested = lookout.count(said)
    expect((await request(url)).body).to.equal('hello')
    await until('it rests again', () => lookout.count(said) > rested)
  }
  await Promise.all(urls.map(wake))
  const before = await costOf(lookout)
  const wakes = () => lookout.count(/: wakes /)
  await Promise.all(
    urls.map(async (url, index) => {
      while (wakes() < WAKES) await wake(url, index)
    }),
  )
  return { wakes: wakes(), before, after: await costOf(lookout) }
}

describe('the cost of rest', () => {
  fault(
    20,
    'rest beside a hung master; 1,000 wakes',
    'at most 10 ms of CPU in 10 s; RSS and fds flat',
    async function () {
      this.timeout(600_000)
      const took = await stuck()
      expect(took, 'ms').to.be.at.most(10)
      const { wakes, before, after } = await woken()
      expect(after).to.deep.equal(before)
      expect(wakes).to.be.at.least(WAKES)
      const { rss, descriptors } = after as { rss: number; descriptors: object[] }
      return `${took} ms in 10 s; ${rss} kB and ${descriptors.length} descriptors before and after ${number(wakes)} wakes`
    },
  )
})
