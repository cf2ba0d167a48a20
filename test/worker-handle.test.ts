/** What a master has of a worker. */
import { constants } from 'node:os'
import { expect } from 'chai'
import { Stats } from '../lib/stats.js'
import { WorkerHandle } from '../lib/worker-handle.js'
import { cleanups, isAlive, until } from './support/lookout.js'
import { startChild } from './support/worker-child.js'

describe('a worker that has ended', () => {
  it('is heard, and what it said last may have it signalled: it is gone, and nobody else is reached', async () => {
    const stats = new Stats(1)
    cleanups.push(() => stats.unmap())
    const { pid, channel } = startChild(`require('node:fs').writeSync(3, '{"type":"ready","served":[0]}\\n')`)
    await until('it has ended', () => !isAlive(pid))
    const seen: [string, boolean][] = []
    const worker = new WorkerHandle(0, pid, channel, stats.slot(0), 0, ({ type }) => {
      seen.push([type, worker.signal(constants.signals.SIGTERM)])
    })
    await until('it is reaped', () => !worker.alive)
    expect(seen).to.deep.equal([
      ['ready', false],
      ['ended', false],
    ])
  })
})
