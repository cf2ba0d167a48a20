/** What the kernel tells of sockets, whoever has them. */
import fs from 'node:fs'
import { posix } from './posix.js'

const ESTABLISHED = '01'
const CONNECTED = '03'

/** Tells how many clients are connected to these listening sockets, whose addresses are looked at now; one that waits counts, too. */
export function counterOf(sockets: number[]): () => number {
  const names = sockets.map(fd => posix.getsockname(fd))
  const ports = new Set(names.filter(([family]) => family !== posix.AF_UNIX).map(([, , port]) => hex(port)))
  const paths = new Set(names.filter(([family]) => family === posix.AF_UNIX).map(([, path]) => path))
  return () => {
    const tcp = ports.size === 0 ? [] : ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(rows)
    const unix = paths.size === 0 ? [] : rows('/proc/net/unix')
    const clients = tcp.filter(([, local = '', , state]) => state === ESTABLISHED && ports.has(local.slice(-4)))
    return clients.length + unix.filter(row => row[5] === CONNECTED && paths.has(row.slice(7).join(' '))).length
  }
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

/** The lines of a table, without its head, as words. */
function rows(table: string): string[][] {
  try {
    const lines = fs.readFileSync(table, 'latin1').trimEnd().split('\n').slice(1)
    return lines.map(line => line.trim().split(/\s+/))
  } catch {
    return [] // a kernel without IPv6
  }
}
