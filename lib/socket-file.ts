/**
 * Socket files. One that was left by a killed process blocks its path, and asking it by a connection whether it lives would wake a
 * lookout: so every lookout holds a lock beside its socket, and only who holds it may ask, or replace.
 */
import fs from 'node:fs'
import { Failure } from './errors.js'
import { lockFile } from './lock-file.js'
import { posix } from './posix.js'

/** Takes the lock beside a socket's path. `left`: a lookout that was killed had it. */
export function lock(path: string): { fd: number; left: boolean } {
  const lock = lockFile(`${path}.lock`, 0o600)
  if ('holder' in lock) throw new Failure(`cannot bind ${path}: EADDRINUSE (another lookout, pid ${lock.holder})`)
  return lock
}

/** Whether somebody listens at a socket file. We hold its lock, so it is no lookout that this would wake. */
function listening(path: string): boolean {
  const probe = posix.socket(posix.AF_UNIX)
  try {
    posix.connect(probe, posix.AF_UNIX, path, 0)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN') return true // its backlog is full
    if (code === 'ECONNREFUSED') return false
    throw error
  } finally {
    posix.close(probe)
  }
}

/** A socket that listens at a path whose lock we hold. A stale one is replaced; whatever else is there is refused. */
export function listenUnix(path: string, options: { backlog: number; socketMode?: number }): number {
  const there = fs.lstatSync(path, { throwIfNoEntry: false })
  if (there && !there.isSocket()) throw new Failure(`cannot bind ${path}: it is there and is no socket`)
  if (there && listening(path)) throw new Failure(`cannot bind ${path}: EADDRINUSE (another process listens there)`)
  if (there) fs.unlinkSync(path)
  const fd = posix.socket(posix.AF_UNIX)
  const before = options.socketMode === undefined ? undefined : process.umask(0o777 & ~options.socketMode)
  try {
    posix.bind(fd, posix.AF_UNIX, path, 0)
    posix.listen(fd, options.backlog)
    return fd
  } catch (error) {
    posix.close(fd)
    throw error
  } finally {
    if (before !== undefined) process.umask(before)
  }
}
