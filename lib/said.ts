/**
 * What a worker was to send its master, whatever it has sent: nothing of it is converted, for that could call what is no method.
 */
import type { Busy } from './busy.js'
import type { Fault } from './channel.js'

export function list(value: unknown, type: 'string'): string[]
export function list(value: unknown, type: 'number'): number[]
export function list(value: unknown, type: string): unknown[] {
  return Array.isArray(value) ? value.filter(element => typeof element === type) : []
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

export function faultOf(value: unknown): Fault {
  const { message, stack } = (value ?? {}) as Record<string, unknown>
  return { message: text(message), ...(typeof stack === 'string' && { stack }) }
}

export function busyOf(value: unknown): Busy {
  const { holds, ...counts } = (value ?? {}) as Record<string, unknown>
  const count = (key: string) => (typeof counts[key] === 'number' ? counts[key] : 0)
  return {
    requests: count('requests'),
    upgraded: count('upgraded'),
    passedAt: count('passedAt'),
    raw: count('raw'),
    handshakes: count('handshakes'),
    holds: list(holds, 'string'),
  }
}

/** Infinity where it is none. */
export function number(value: unknown): number {
  return typeof value === 'number' ? value : Number.POSITIVE_INFINITY
}
