/** What a service manager is told: sd_notify(3), by a datagram to NOTIFY_SOCKET. */
import { causeOf } from './errors.js'
import { say } from './log.js'
import { posix } from './posix.js'

/**
 * Does nothing where nobody wants to know.
 * @param state assignments, one a line: READY=1
 */
export function notify({ NOTIFY_SOCKET }: NodeJS.ProcessEnv, state: string): void {
  if (!NOTIFY_SOCKET) return
  try {
    posix.notify(NOTIFY_SOCKET, state)
  } catch (error) {
    say(`lookout ${process.pid}`, `cannot notify ${NOTIFY_SOCKET}: ${causeOf(error)}`, 'warning')
  }
}
