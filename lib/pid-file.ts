/** --pid-file: locked for as long as its lookout lives, so what a killed one left is known and replaced. */
import fs from 'node:fs'
import { causeOf, Failure } from './errors.js'
import { posix } from './posix.js'

const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants

/**
 * Writes our pid, which stays that of the resting program.
 * @returns the descriptor that holds the lock: to be kept open
 * @throws Failure where another lookout has the file, it is something else, or cannot be written
 */
export function writePidFile(file: string): number {
  const fd = open(file)
  try {
    const before = fs.readFileSync(fd, 'latin1')
    if (!/^\d*\n?$/.test(before)) throw new Failure(`cannot write ${file}: it is there and is no pid file`)
    if (!lock(fd)) throw new Failure(`cannot write ${file}: another lookout, pid ${before.trim()}, has it`)
    if (fs.statSync(file, { throwIfNoEntry: false })?.ino === fs.fstatSync(fd).ino) {
      fs.ftruncateSync(fd)
      fs.writeSync(fd, `${process.pid}\n`, 0)
      return fd
    }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
  fs.closeSync(fd) // whoever had it removed it while we came
  return writePidFile(file)
}

function open(file: string): number {
  try {
    return fs.openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644)
  } catch (error) {
    throw new Failure(`cannot write ${file}: ${causeOf(error)}`)
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
