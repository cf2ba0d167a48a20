/** How figures are taken: servers in turn, round by round, so that what the machine does hits all. */
import type { Kind } from './servers.ts'

export type Unit = 'ms' | 'requests/s' | 'connections/s' | 'connections' | 'kB'

/** One server's figures of one measure. */
export interface Series {
  measure: string
  server: string
  unit: Unit
  samples: number[]
}

/** How much is taken of everything. */
export interface Effort {
  /** Times that a first request is made. */
  wakes: number
  /** Times that load is put on each server, and seconds of each. */
  loads: number
  seconds: number
  /** Sockets in one resting process. */
  apps: number
}

export type Measure = (effort: Effort) => Promise<Series[]>

/** One server of a measure: `sample` gives its next figure. */
export interface Entry {
  server: string
  sample(): Promise<number>
  stop(): Promise<void>
}

/** ms of quiet before each sample. */
export const SETTLED = 500

/** `rounds` figures of each, in turn; the order changes with every round. */
export async function interleave(measure: string, unit: Unit, rounds: number, entries: Entry[]): Promise<Series[]> {
  const series = entries.map(({ server }): Series => ({ measure, server, unit, samples: [] }))
  try {
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < entries.length; turn++) {
        const index = (round + turn) % entries.length
        await pause(SETTLED) // a machine that was busy just now is faster
        series[index]!.samples.push(await entries[index]!.sample())
      }
    }
  } finally {
    for (const entry of entries) await entry.stop()
  }
  return series
}

export const isHere = (kind: Kind): boolean => kind.version() !== undefined
export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
