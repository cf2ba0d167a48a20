/**
 * How many workers a pool of MIN to MAX has: enough that there is room for --standby connections more than there are, and no
 * more for long. A policy, handed the clock. Times in ms, monotonic. After parallel_server's Prefork.
 *
 * A worker has room for --max-connections. Without such a limit it has room for one more as long as it is not busy.
 */
import type { WorkerStats } from './slot.js'

/** How much of its time a worker is busy that takes what comes, and has no room for more. */
const BUSY = 0.8

export interface Member {
  /** It listens. */
  ready: boolean
  stats: WorkerStats
}

export interface Pool {
  workers: { least: number; most: number }
  maxConnections: number
  standby: number
  maxIdle: number
}

export type Decision<M> = { start: number; retire: M[] }

export class Scaling<M extends Member> {
  /** Since when the pool is watched for having too much room. */
  #since: number
  #leastFree = Number.POSITIVE_INFINITY

  constructor(
    private readonly pool: Pool,
    time: number,
  ) {
    this.#since = time
  }

  /**
   * @param members the workers that serve or are about to
   * @param backlog connections that wait
   */
  decide(members: M[], backlog: number, time: number): Decision<M> {
    const { workers, standby } = this.pool
    const free = members.reduce((sum, member) => sum + this.#room(member), 0)
    this.#leastFree = Math.min(this.#leastFree, free)
    const missing = free === 0 && backlog > 0 ? Math.max(1, standby) : standby - free
    if (missing > 0) this.#watchFrom(time)
    const room = workers.most - members.length
    if (missing > 0) return { start: Math.max(0, Math.min(room, Math.ceil(missing / this.#capacity))), retire: [] }
    return { start: 0, retire: this.#surplus(members, time) }
  }

  get #capacity(): number {
    return Math.max(1, this.pool.maxConnections)
  }

  /** One that boots has room for as many as it will take. */
  #room({ ready, stats }: M): number {
    if (!ready) return this.#capacity
    if (this.pool.maxConnections === 0) return stats.utilization < BUSY ? 1 : 0
    return Math.max(0, this.#capacity - stats.connections)
  }

  /** Those without whom there was room enough all the time: the youngest, but nobody who has work, or never had any. */
  #surplus(members: M[], time: number): M[] {
    const { workers, standby, maxIdle } = this.pool
    if (maxIdle === 0 || time - this.#since < maxIdle) return []
    const spare = Math.floor((this.#leastFree - standby) / this.#capacity)
    const count = Math.min(spare, members.length - workers.least)
    this.#watchFrom(time)
    if (count <= 0) return []
    return members
      .filter(({ ready, stats }) => ready && stats.accepted > 0 && isIdle(stats))
      .sort((a, b) => b.stats.startedAt - a.stats.startedAt)
      .slice(0, count)
  }

  #watchFrom(time: number): void {
    this.#since = time
    this.#leastFree = Number.POSITIVE_INFINITY
  }
}

/** What is in flight was told a second ago; what is connected is of this moment, but may be an idle keep-alive connection. */
function isIdle({ inFlight, connections, requests }: WorkerStats): boolean {
  return inFlight === 0 && (connections === 0 || requests > 0)
}
