/** What the kernel tells of sockets and processes, whatever those say. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'

/** One for each family, where the machine has it: localhost is both. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']

/** A socket's state, as the kernel writes it. */
const State = { established: '01', listen: '0A' }

interface Socket {
  state: string
  /** Bytes to be read; of a listening one, connections to be accepted. */
  queue: number
  /** 0 once it belongs to no process. */
  inode: number
}

/** Every socket whose own port that is. */
function socketsAt(port: number): Socket[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const line = new RegExp(`^ *\\d+: \\w+:${hex} \\w+:\\w+ (\\w\\w) \\w+:(\\w+) \\S+ \\w+ +\\d+ +\\d+ (\\d+) `, 'gm')
  const texts = TABLES.filter(fs.existsSync).map(table => fs.readFileSync(table, 'latin1'))
  return texts.flatMap(text =>
    [...text.matchAll(line)].map(([, state, queue, inode]) => ({
      state: state!,
      queue: Number.parseInt(queue!, 16),
      inode: Number(inode),
    })),
  )
}

/** How many connections wait to be accepted at a port: the length of the queue is a listening socket's receive queue. */
export function waiting(port: number): number {
  const listening = socketsAt(port).filter(({ state }) => state === State.listen)
  return listening.reduce((sum, { queue }) => sum + queue, 0)
}

/** Whether somebody listens at a port. */
export function listens(port: number): boolean {
  return socketsAt(port).some(({ state }) => state === State.listen)
}

/** Established connections to a port, seen from the server's side. */
export function connectionsTo(port: number): number {
  return socketsAt(port).filter(({ state }) => state === State.established).length
}

/** What a process has open that is a socket, as /proc writes it. */
export function openSockets(pid: number): string[] {
  const links = fs.readdirSync(`/proc/${pid}/fd`).map(fd => fs.readlinkSync(`/proc/${pid}/fd/${fd}`))
  return links.filter(link => link.startsWith('socket:'))
}

/** Those of a port that a process has open. */
function socketsOf(pid: number, port: number): Socket[] {
  const links = openSockets(pid)
  return socketsAt(port).filter(({ inode }) => links.includes(`socket:[${inode}]`))
}

/** How many connections to a port a process has open, whatever their state. */
export function connectionsOf(pid: number, port: number): number {
  return socketsOf(pid, port).filter(({ state }) => state !== State.listen).length
}

/** How many sockets that listen at a port a process has open. */
export function listenersOf(pid: number, port: number): number {
  return socketsOf(pid, port).filter(({ state }) => state === State.listen).length
}

/** Hundredths of a second that a process has run. */
export function ticks(pid: number): number {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** kB, by the kernel's own count of its pages. */
export function memoryOf(pid: number): { rss: number; anonymous: number } {
  const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(rollup)?.[1])
  return { rss: kilobytes('Rss'), anonymous: kilobytes('Anonymous') }
}

/** The descriptors of a process, and what each is of: socket:[1234]. */
export function descriptorsOf(pid: number): { fd: number; of: string }[] {
  return fs.readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [{ fd: Number(fd), of: fs.readlinkSync(`/proc/${pid}/fd/${fd}`) }]
    } catch {
      return [] // closed meanwhile
    }
  })
}

/** By ss(8), which has the kernel leave out what is not asked for: of connections that are over there may be very many. */
function ask(...filter: string[]): { local: number; remote: number; inode: number }[] {
  const lines = spawnSync('ss', ['-Htne', ...filter], { encoding: 'utf8' }).stdout.split('\n')
  return lines.flatMap(line => {
    const [, local, remote] = /:(\d+) +\S+:(\d+|\*) /.exec(line) ?? []
    const inode = Number(/ ino:(\d+) /.exec(line)?.[1] ?? 0)
    return local === undefined ? [] : [{ local: Number(local), remote: Number(remote), inode }]
  })
}

/** Connections to these ports, as their server's side has them: of those that nobody has accepted yet the inode is 0. */
export function connections(ports: number[]): { port: number; client: number; inode: number }[] {
  const filter = ports.map(port => `sport = :${port}`).join(' or ')
  const found = ask('state', 'established', 'state', 'close-wait', `( ${filter} )`)
  return found.map(({ local, remote, inode }) => ({ port: local, client: remote, inode }))
}

/** The inodes of the TCP sockets that listen. */
export function listening(): Set<number> {
  return new Set(ask('state', 'listening').map(({ inode }) => inode))
}

/** The inodes of the sockets that a process has. */
export function inodesOf(pid: number): number[] {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1]
      return inode === undefined ? [] : [Number(inode)]
    })
  } catch {
    return [] // gone
  }
}

function linkOf(file: string): string {
  try {
    return fs.readlinkSync(file)
  } catch {
    return '' // closed meanwhile
  }
}

/** The number of read(2). */
const READ = { x64: '0', arm64: '63' }[process.arch as string]!

/** Whether a process waits in read(2), of this descriptor where one is said. */
export function isReading(pid: number, fd?: number): boolean {
  const [call, first] = fs.readFileSync(`/proc/${pid}/syscall`, 'utf8').split(' ')
  return call === READ && (fd === undefined || Number(first) === fd)
}

/** How many slots of the statistics a process has mapped. */
export function slotsOf(pid: number): number {
  return fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('/memfd:lookout-stats').length - 1
}

/** Whether a signal was sent to the process that it has not taken yet. */
export function hasPending(pid: number): boolean {
  return /^ShdPnd:.*[1-9a-f]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
}
