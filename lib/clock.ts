/** Monotonic time in ms. CLOCK_MONOTONIC, so the processes of one app can compare what they read. */
export function now(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** ms, as long as a timer can be. */
export const FOREVER = 2 ** 31 - 1

/** A duration as a person would say it: 61 ms, 2.5 s, 30 s, 5 min. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`
  return `${Math.round(ms / 6000) / 10} min`
}
