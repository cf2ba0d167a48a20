/**
 * A line on stderr, begun with who says it ("master 41", "worker 2 pid 57"), and the traces of DEBUG=lookout:*.
 * debug is loaded only when DEBUG asks: it costs more than all else that a worker loads before the app.
 */
import fs from 'node:fs'
import { posix } from './posix.js'

/** syslog's, which the journal keeps where it is told by the number before a line: sd-daemon(3). */
const LEVELS = { error: 3, warning: 4, info: 6 } as const

export type Level = keyof typeof LEVELS

export function say(who: string, text: string, level: Level = 'info'): void {
  write(`${who}: ${text}\n`, level)
}

/** Bytes for which a pipe that takes any has room. */
const PART = 4096

/** Text on stderr, a line or several. */
export function write(text: string, level: Level): void {
  const bytes = Buffer.from(isJournal() ? text.replace(/^(?=.)/gm, `<${LEVELS[level]}>`) : text)
  try {
    // A pipe that nobody reads would have us wait for ever.
    for (let at = 0; at < bytes.length && posix.writable(2); at += PART) fs.writeSync(2, bytes.subarray(at, at + PART))
  } catch (error) {
    // A closed or full log must not stop the service; whoever reads it sees the gap.
    if (!['EPIPE', 'EAGAIN', 'EIO', 'ENOSPC', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
  }
}

let journal: boolean | undefined

/** Whether stderr is the journal: then JOURNAL_STREAM names its device and inode. */
function isJournal(): boolean {
  if (journal !== undefined) return journal
  journal = false
  if (process.env.JOURNAL_STREAM) {
    const { dev, ino } = fs.fstatSync(2)
    journal = process.env.JOURNAL_STREAM === `${dev}:${ino}`
  }
  return journal
}

/** `trace('format %o', value)` for the role; does nothing unless DEBUG names it. */
export function tracer(role: string): (format: string, ...values: unknown[]) => void {
  if (!process.env.DEBUG) return () => {}
  return (require('debug') as typeof import('debug'))(`lookout:${role}`)
}
