/** What rest costs: no time, next to no memory, and no more of it after a thousand wakes. */

import fs from 'node:fs'
import { expect } from 'chai'
import { memoryOf } from '../support/kernel.js'
import { until } from '../support/lookout.js'
import { asBuilt, FINE, once, Resting } from './resting.js'

const read = (pid: number, file: string) => fs.readFileSync(`/proc/${pid}/${file}`, 'utf8')

/** Whatever would move if it did anything: its time in clock ticks, and how often it went to sleep or was interrupted. */
function activityOf(pid: number): string {
  const ticks = read(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(11, 15)
  const switches = read(pid, 'status').match(/^\w*voluntary_ctxt_switches:\s+\d+$/gm)
  return [...ticks, ...switches!].join(' ')
}

async function sleeps(pid: number): Promise<void> {
  await until('it sleeps', () => / S /.test(read(pid, 'stat').replace(/^.*\)/s, '')))
}

describe('the resting program at rest', () => {
  it('does nothing at all', async () => {
    const lookout = await Resting.start(asBuilt, [once])
    await sleeps(lookout.pid)
    const before = activityOf(lookout.pid)
    // Meanwhile another is busy, for 100 and 200 and 400 ms at least.
    const other = await Resting.start(asBuilt, [{ master: ['exit', '1'] }])
    other.connect()
    await other.line(/next try in 800 ms$/)
    expect(activityOf(lookout.pid)).to.equal(before)
    expect(activityOf(other.pid)).not.to.equal(before)
    await other.end('SIGTERM')
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
  })

  it('has at most 160 kB of its own', async () => {
    const lookout = await Resting.start(asBuilt, [once])
    await sleeps(lookout.pid)
    // Anonymous is all that it has written: heap, stack, and its copies of the pages of .data. Private_Dirty would count
    // the file's own pages, too, for as long as a binary that was just linked has not been written back to the disk.
    expect(memoryOf(lookout.pid).anonymous).to.be.within(4, 160)
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
  })

  it('has neither more memory nor more descriptors after 1,000 wakes', async () => {
    // 40 apps 25 times, for one is not woken more than 10 times a second.
    const apps = Array.from({ length: 40 }, (_, index) => ({ ...once, name: `app${index}` }))
    const lookout = await Resting.start(asBuilt, apps, { quiet: true })
    const masters = new Set<number>()
    const wake = async (app: number, times: number) => {
      for (; times > 0; times--) {
        const client = lookout.connect(app)
        masters.add(await client.served)
        client.close()
      }
    }
    const state = async (times: number) => {
      await Promise.all(apps.map((_, index) => wake(index, times)))
      await until('all are reaped', () => read(lookout.pid, `task/${lookout.pid}/children`) === '')
      await sleeps(lookout.pid)
      return { ...memoryOf(lookout.pid), fds: fs.readdirSync(`/proc/${lookout.pid}/fd`) }
    }
    const before = await state(1)
    expect(await state(25)).to.deep.equal(before)
    expect(masters.size).to.equal(1040)
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
  }).timeout(60_000)
})
