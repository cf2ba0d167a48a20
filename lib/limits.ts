/** Why a worker is to be replaced by a fresh one, if at all. A policy, handed the clock. Times in ms, monotonic. */
import { duration } from './clock.js'
import type { WorkerStats } from './slot.js'

export interface Limits {
  maxUse: number
  maxRss: number
  maxLifetime: number
}

/** A reason, said of the worker; `sick`: another may be no better. */
export interface Due {
  why: string
  sick: boolean
}

/** How much sooner than its limit a worker may be due: those that were started together do not all go together. */
const SPREAD = 0.1

/** @param jitter 0 to 1, the worker's own */
export function due(limits: Limits, stats: WorkerStats, jitter: number, time: number): Due | undefined {
  const { maxUse, maxRss, maxLifetime } = limits
  const used = Math.max(stats.requests, stats.accepted)
  const age = time - stats.startedAt
  const reached = (value: number, limit: number) => limit > 0 && value >= limit * (1 - SPREAD * jitter)
  if (stats.status > 0) return { why: `says that it is unhealthy: ${stats.status}`, sick: true }
  if (reached(used, maxUse)) return { why: `has served ${used} requests`, sick: false }
  if (maxRss > 0 && stats.rss > maxRss) return { why: `uses ${Math.round(stats.rss / 2 ** 20)} MB`, sick: true }
  if (reached(age, maxLifetime)) return { why: `is ${duration(age)} old`, sick: false }
  return undefined
}
