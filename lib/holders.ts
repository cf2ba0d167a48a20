/** Who holds a port: read from /proc, for the message that a conflict gets. */
import fs from 'node:fs'

export interface Holder {
  pid: number
  /** The process's own short name: "nginx", "lookout". */
  name: string
}

const LISTEN = '0A'

function inodesOf(port: number): Set<string> {
  const inodes = new Set<string>()
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!fs.existsSync(table)) continue
    for (const line of fs.readFileSync(table, 'latin1').split('\n')) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
      if (state === LISTEN && local?.endsWith(`:${hex}`) && inode) inodes.add(`socket:[${inode}]`)
    }
  }
  return inodes
}

function holds(pid: string, inodes: Set<string>): boolean {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).some(fd => {
      try {
        return inodes.has(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))
      } catch {
        return false // closed meanwhile
      }
    })
  } catch {
    return false // ended meanwhile, or another user's
  }
}

function nameOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return '' // ended meanwhile
  }
}

/** The other processes that listen on a TCP port, as far as we may look. */
export function holdersOf(port: number): Holder[] {
  const inodes = inodesOf(port)
  if (inodes.size === 0) return []
  return fs
    .readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && name !== `${process.pid}` && holds(name, inodes))
    .map(pid => ({ pid: Number(pid), name: nameOf(pid) }))
    .filter(({ name }) => name !== '')
}

/** "another lookout, pid 4711" */
export function nameHolder(holders: Holder[]): string | undefined {
  const named = holders.find(({ name }) => name === 'lookout') ?? holders[0]
  if (!named) return undefined
  return `${named.name === 'lookout' ? 'another lookout' : named.name}, pid ${named.pid}`
}
