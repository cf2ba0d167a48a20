/** Files that hold the pid of the lookout that has them: locked for as long as it lives, so what a killed one left is known. */
import fs from 'node:fs'
import { causeOf } from './errors.js'
import { posix } from './posix.js'

const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants

/** What became of a try to have one: it is ours while the descriptor is open, or another's. */
export type Lock =
  /** `left`: a lookout that was killed had left it. */
  { fd: number; left: boolean } | { holder: string }

/**
 * Locks the file, which is made where it is not there, and writes our pid into it.
 * @param check is shown what was in it; what it throws is thrown
 * @throws the system's error
 */
export function lockFile(file: string, mode: number, check: (before: string) => void = () => {}): Lock {
  for (;;) {
    const left = fs.existsSync(file)
    const fd = fs.openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, mode)
    let kept = false
    try {
      const before = fs.readFileSync(fd, 'latin1')
      check(before)
      if (!lock(fd)) return { holder: before.trim() }
      kept = fs.statSync(file, { throwIfNoEntry: false })?.ino === fs.fstatSync(fd).ino
      if (!kept) continue // its last holder removed it between our open and our lock
      fs.ftruncateSync(fd)
      fs.writeSync(fd, `${process.pid}\n`, 0)
      return { fd, left }
    } finally {
      if (!kept) fs.closeSync(fd)
    }
  }
}

/** @returns false where another has it */
function lock(fd: number): boolean {
  try {
    posix.flock(fd)
    return true
  } catch (error) {
    if (causeOf(error) === 'EAGAIN') return false
    throw error
  }
}
