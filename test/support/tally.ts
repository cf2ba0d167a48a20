/** What became of many requests. */
import type { Outcome } from './client.js'

export class Tally {
  readonly counts: Partial<Record<Outcome, number>> = {}
  total = 0

  add(result: Outcome): void {
    this.total++
    this.counts[result] = (this.counts[result] ?? 0) + 1
  }

  /** As a figure: "0 of 10,400 lost", "212 of 10,400 lost (200 refused, 12 reset)". */
  toString(): string {
    const { ok = 0, ...lost } = this.counts
    const how = Object.entries(lost).map(([outcome, count]) => `${number(count)} ${outcome}`)
    return `${number(this.total - ok)} of ${number(this.total)} lost${how.length > 0 ? ` (${how.join(', ')})` : ''}`
  }
}

export function number(count: number): string {
  return count.toLocaleString('en')
}

/** Deterministic, so that a failure can be had again. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
