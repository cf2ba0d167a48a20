/** What a worker has to do, and the same in words: the answer to "why is it awake". */
import { duration, now } from './clock.js'
import { plural } from './text.js'

export interface Busy {
  /** Being answered. */
  requests: number
  /** Connections that have become WebSockets or the like. */
  upgraded: number
  /** ms, monotonic: when something last passed over one of those. */
  passedAt: number
  /** Connections to servers that do not speak HTTP. */
  raw: number
  /** TLS handshakes that have just begun. */
  handshakes: number
  /** Reasons, as the app has said them. */
  holds: string[]
}

/** ms for which it is nothing to be told that nothing has passed. */
const SILENCE = 60_000

/** Reasons of one worker, or of several as if they were one; none: nothing keeps the app awake. */
export function reasonsOf(workers: Busy[]): string[] {
  const sum = (key: 'requests' | 'upgraded' | 'raw' | 'handshakes') => workers.reduce((sum, busy) => sum + busy[key], 0)
  const [requests, upgraded, raw, handshakes] = [sum('requests'), sum('upgraded'), sum('raw'), sum('handshakes')]
  const silence = now() - Math.max(...workers.filter(busy => busy.upgraded > 0).map(({ passedAt }) => passedAt))
  const silent = silence > SILENCE ? `, nothing passed for ${duration(silence)} (--idle-upgraded)` : ''
  return [
    ...(requests > 0 ? [`${plural(requests, 'request')} in flight`] : []),
    ...(upgraded > 0 ? [`${plural(upgraded, 'upgraded connection')} open${silent}`] : []),
    ...(raw > 0 ? [`${plural(raw, 'raw connection')} open`] : []),
    ...(handshakes > 0 ? [plural(handshakes, 'TLS handshake')] : []),
    ...workers.flatMap(({ holds }) => holds.map(reason => `hold: ${reason}`)),
  ]
}
