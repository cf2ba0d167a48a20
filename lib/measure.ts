/** What this process uses, for the statistics. Once a second: each call costs some ten microseconds. */
import type { WorkerStats } from './slot.js'

let before: ReturnType<typeof performance.eventLoopUtilization> | undefined

/** Bytes, and the part of the time since the last call in which the event loop was busy. */
export function measure(): Pick<WorkerStats, 'utilization' | 'rss' | 'heap'> {
  const total = performance.eventLoopUtilization()
  const { utilization } = before ? performance.eventLoopUtilization(total, before) : total
  before = total
  const { rss, heapUsed } = process.memoryUsage()
  return { utilization, rss, heap: heapUsed }
}
