/** The end of a worker: what it does between being asked to stop and its exit. */
import type { Activity } from './activity.js'
import type { Stop } from './channel.js'
import { now } from './clock.js'

/** ms between the steps of a drain. */
const STEP = 10

/** Its number, everywhere: node:os, which knows it, is not loaded for that. */
const SIGTERM = 15

/** How much of the grace requests may take, before the app's SIGTERM handlers run all the same. */
const DRAIN = 0.8

/**
 * Finishes what is in flight, then lets the app's own SIGTERM handlers end it; the master kills what is late.
 * @returns begins it; called again, there is less patience
 */
export function drainer(activity: Activity): (how: Stop) => void {
  let deadline = Number.POSITIVE_INFINITY
  let patience = Number.POSITIVE_INFINITY
  let cut = false
  let state: 'none' | 'draining' | 'told' = 'none'
  const step = () => {
    const time = now()
    const { requests, others } = activity.drain({ patient: time < patience, cut })
    if (state === 'draining' && (requests === 0 || time > deadline)) {
      state = 'told'
      // Emitted, not sent: nothing might be left that keeps the process waiting for a signal.
      if ((process as NodeJS.EventEmitter).emit('SIGTERM', 'SIGTERM', SIGTERM)) return
    }
    if (requests + others > 0) setTimeout(step, STEP)
    else process.exit()
  }
  return how => {
    const time = now()
    deadline = Math.min(deadline, time + how.grace * DRAIN)
    patience = Math.min(patience, time + Math.min(how.patience, how.grace * DRAIN))
    cut ||= how.cut
    if (state !== 'none') return
    state = 'draining'
    step()
  }
}
