/**
 * A line on stderr, begun with who says it ("master 41", "worker 2 pid 57"), and the traces of DEBUG=lookout:*.
 * debug is loaded only when DEBUG asks: it costs more than all else that a worker loads before the app.
 */
import fs from 'node:fs'

export function say(who: string, text: string): void {
  write(`${who}: ${text}\n`)
}

/** Text on stderr as it is. */
export function write(text: string): void {
  try {
    fs.writeSync(2, text)
  } catch (error) {
    // A closed or full log must not stop the service; whoever reads it sees the gap.
    if (!['EPIPE', 'EAGAIN', 'EIO', 'ENOSPC', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
  }
}

/** `trace('format %o', value)` for the role; does nothing unless DEBUG names it. */
export function tracer(role: string): (format: string, ...values: unknown[]) => void {
  if (!process.env.DEBUG) return () => {}
  return (require('debug') as typeof import('debug'))(`lookout:${role}`)
}
