/**
 * Socket files. One that was left by a killed process blocks its path, and asking it by a connection whether it lives would wake a
 * lookout: so every lookout holds a lock beside its socket, and only who holds it may ask, or replace.
 */
import fs from 'node:fs'
import { Failure } from './errors.js'
import { posix } from './posix.js'

/** Opens and locks the file beside a socket's path. It says who holds it; whoever takes it away holds it, too. */
export function lock(path: string): { fd: number; left: boolean } {
  const file = `${path}.lock`
  for (;;) {
    const left = fs.existsSync(file) // by a lookout that was killed, if it is not locked
    const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600)
    try {
      posix.flock(fd)
      const there = fs.statSync(file, { throwIfNoEntry: false })
      if (there?.ino === fs.fstatSync(fd).ino) {
        fs.ftruncateSync(fd)
        fs.writeSync(fd, `${process.pid}\n`, 0)
        return { fd, left }
      }
    } catch (error) {
      const holder = fs.readFileSync(file, 'latin1').trim()
      fs.closeSync(fd)
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      throw new Failure(`cannot bind ${path}: EADDRINUSE (another lookout, pid ${holder})`)
    }
    fs.closeSync(fd) // its last holder removed it between our open and our lock
  }
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
