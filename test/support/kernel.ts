/** What the kernel tells of sockets and processes, whatever those say. */
import fs from 'node:fs'

/** One for each family, where the machine has it: localhost is both. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']

/** How many connections wait to be accepted at a port: the length of the queue is a listening socket's receive queue. */
export function waiting(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const listening = new RegExp(`:${hex} 0+:0+ 0A \\w+:(\\w+) `, 'g')
  const lines = TABLES.filter(fs.existsSync).map(table => fs.readFileSync(table, 'latin1'))
  const queues = lines.flatMap(text => [...text.matchAll(listening)])
  return queues.reduce((sum, [, length]) => sum + Number.parseInt(length!, 16), 0)
}

/** Hundredths of a second that a process has run. */
export function ticks(pid: number): number {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}
