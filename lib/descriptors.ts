/** How near this process is to its limit of open files: what it accepts must leave some for the app. */
import { readFileSync } from 'node:fs'

/** Left for the app: so many, or an eighth where there are few. */
const RESERVE = 64
/** Below it the limit, which takes a tenth of a millisecond to read, is not asked for. */
const FEW = 48

let most: number | undefined

/** One more than the highest descriptor that a connection may have. */
function mostForConnections(): number {
  const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
  const limit = soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
  return limit - Math.min(RESERVE, Math.ceil(limit / 8))
}

/** @param fd the lowest that was free: of a connection just accepted */
export function isNearLimit(fd: number): boolean {
  if (fd < FEW) return false
  most ??= mostForConnections()
  return fd >= most
}
