/** What a master tells by --stats-file, which it writes once a second: a clock of its looks for who waits. */
import fs from 'node:fs'
import type { PoolStats } from '../../lib/supervision.js'
import { until } from './lookout.js'

export function readStats(file: string): PoolStats {
  return JSON.parse(fs.readFileSync(file, 'utf8'))
}

/** Waits until it was written that many times more: the master has looked, and done what it does about what it saw. */
export async function rewritten(file: string, times: number, deadline?: number): Promise<void> {
  const written = () => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs
  let last = written()
  let count = 0
  const condition = () => {
    const time = written()
    if (time !== last) count++
    last = time
    return count >= times
  }
  await until(`${file} written ${times} times`, condition, deadline)
}

/**
 * Waits until so many workers, which are all there are, have stopped to accept. That lookout says it is quiet, or is stopped, is
 * no sign of it: they hear of it from their master, a moment later.
 */
export function quieted(file: string, count: number): Promise<PoolStats> {
  return until(`${count} workers that accept nobody`, () => {
    const stats = readStats(file)
    const quiet = stats.workers.filter(({ state, accepting }) => state === 'ready' && accepting === false)
    return stats.workers.length === count && quiet.length === count ? stats : undefined
  })
}
