/**
 * The lookouts that run, as their user's runtime directory tells of them: a file each, called by the pid and locked for as long
 * as it lives. All else is read from /proc and the board; nothing is asked, and nobody is woken.
 */
import fs from 'node:fs'
import path from 'node:path'
import { Board } from './board.js'
import { inherited } from './config.js'
import { lockFile } from './lock-file.js'
import { type Found, type FoundApp, readPlan } from './plan.js'
import { posix } from './posix.js'
import { Slot } from './slot.js'

/** $XDG_RUNTIME_DIR/lookout; root's is /run/lookout, and of who has neither, a folder of their own in /tmp. */
function folderOf(env: NodeJS.ProcessEnv): string {
  const uid = process.getuid?.() ?? 0
  if (env.XDG_RUNTIME_DIR) return path.join(env.XDG_RUNTIME_DIR, 'lookout')
  return uid === 0 ? '/run/lookout' : `/tmp/lookout-${uid}`
}

/**
 * The runtime directory, made where it is not there.
 * @returns undefined where it cannot be, or is another's
 */
export function runtimeFolder(env: NodeJS.ProcessEnv): string | undefined {
  const folder = folderOf(env)
  try {
    if (!fs.existsSync(folder)) fs.mkdirSync(folder, { mode: 0o700 })
    const status = fs.lstatSync(folder)
    const ours = status.isDirectory() && status.uid === process.getuid?.() && (status.mode & 0o077) === 0
    return ours ? folder : undefined
  } catch {
    return undefined
  }
}

/**
 * Makes this process known; it keeps its pid over exec.
 * @returns the file, and the descriptor that is to be kept open; undefined where there is no runtime directory
 */
export function register(env: NodeJS.ProcessEnv): { file: string; fd: number } | undefined {
  const folder = runtimeFolder(env)
  if (folder === undefined) return undefined
  const file = path.join(folder, `${process.pid}`)
  try {
    const lock = lockFile(file, 0o600)
    return 'holder' in lock ? undefined : { file, fd: lock.fd }
  } catch {
    return undefined // a full disk is no reason not to serve
  }
}

/** Where an app of `lookout up` is handed connections. */
export function handoffFile(env: NodeJS.ProcessEnv, name: string, pid: number): string | undefined {
  const folder = runtimeFolder(env)
  return folder === undefined ? undefined : path.join(folder, `${name}.${pid}`)
}

export interface Instance extends Found {
  pid: number
  /** The same process for as long as it is open. */
  pidfd: number
  /** The board, as a descriptor of ours. */
  boardFd: number
}

/** Those of this user, the oldest first. */
export function instances(env: NodeJS.ProcessEnv): Instance[] {
  return pidsOf(env).flatMap(pid => instanceOf(pid) ?? [])
}

/** Of this user's lookouts. */
export function pidsOf(env: NodeJS.ProcessEnv): number[] {
  const folder = runtimeFolder(env)
  if (folder === undefined) return []
  const names = fs.readdirSync(folder).filter(name => /^\d+$/.test(name))
  return names
    .filter(name => isHeld(path.join(folder, name)))
    .map(Number)
    .sort((a, b) => a - b)
}

/** Whether the one that wrote it lives; what a killed one left is removed. */
function isHeld(file: string): boolean {
  let fd: number
  try {
    fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW)
  } catch {
    return false
  }
  try {
    posix.flock(fd)
    remove(file)
    return false
  } catch {
    return true
  } finally {
    fs.closeSync(fd)
  }
}

/** What one that was killed has left: its file, and where its apps were handed connections. */
function remove(file: string): void {
  const [folder, pid] = [path.dirname(file), path.basename(file)]
  const left = fs.readdirSync(folder).filter(name => name === pid || name.endsWith(`.${pid}`))
  for (const name of left) fs.rmSync(path.join(folder, name), { force: true })
}

/** @returns undefined where that is no resting program of ours */
export function instanceOf(pid: number): Instance | undefined {
  let pidfd: number | undefined
  try {
    pidfd = posix.pidfdOpen(pid)
    const plan = fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'lookout\n' ? planOf(pid) : undefined
    const boardFd = plan && openBoard(pid)
    if (plan && boardFd !== undefined) return { ...plan, pid, pidfd, boardFd }
  } catch {
    // Gone meanwhile, or another user's.
  }
  if (pidfd !== undefined) posix.close(pidfd)
  return undefined
}

export function planOf(pid: number): Found | undefined {
  return readPlan(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1))
}

/** A process keeps its board open for as long as it lives. */
export function openBoard(pid: number): number | undefined {
  const [found] = memoryOf(pid, 'lookout')
  return found === undefined ? undefined : fs.openSync(found, 'r+')
}

/** The statistics of an app's workers, which its master keeps open. They are the caller's to unmap. */
export function openSlots(master: number): Slot[] {
  try {
    return memoryOf(master, 'lookout-stats').flatMap(file => openSlot(file) ?? [])
  } catch {
    return [] // gone meanwhile
  }
}

function openSlot(file: string): Slot | undefined {
  let fd: number | undefined
  try {
    fd = fs.openSync(file, 'r')
    return new Slot(fd, 'reading')
  } catch {
    return undefined // its worker is gone
  } finally {
    if (fd !== undefined) fs.closeSync(fd) // what is mapped stays so
  }
}

/** The files of the shared memory that a process has open by this name. */
function memoryOf(pid: number, name: string): string[] {
  const folder = `/proc/${pid}/fd`
  const files = fs.readdirSync(folder).map(fd => `${folder}/${fd}`)
  return files.filter(file => linkOf(file) === `/memfd:${name} (deleted)`)
}

function linkOf(file: string): string {
  try {
    return fs.readlinkSync(file)
  } catch {
    return '' // closed meanwhile
  }
}

/** What the board says of an app. */
export function boardOf({ boardFd }: Instance, { config }: FoundApp): Board {
  return new Board(boardFd, config.slot)
}

export function childrenOf(pid: number): number[] {
  try {
    const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return text === '' ? [] : text.split(' ').map(Number)
  } catch {
    return []
  }
}

/** The masters that are awake, by the names of their apps: what their parent started them with, and nobody's word since. */
export function mastersOf({ pid }: Instance): Map<string, number> {
  return new Map(
    childrenOf(pid).flatMap(child => {
      try {
        const entries = fs.readFileSync(`/proc/${child}/environ`, 'utf8').split('\0')
        const entry = entries.find(entry => entry.startsWith('LOOKOUT_APP='))
        const config = inherited({ LOOKOUT_APP: entry?.slice('LOOKOUT_APP='.length) })
        return config ? [[config.name, child] as const] : []
      } catch {
        return [] // gone meanwhile
      }
    }),
  )
}
