/** --pid-file: locked, so what a killed lookout left is known and replaced. */
import { causeOf, Failure } from './errors.js'
import { type Lock, lockFile } from './lock-file.js'

/**
 * Writes our pid, which stays that of the resting program.
 * @returns the descriptor that holds the lock: to be kept open
 * @throws Failure where another lookout has the file, it is something else, or cannot be written
 */
export function writePidFile(file: string): number {
  const lock = take(file)
  if ('holder' in lock) throw new Failure(`cannot write ${file}: another lookout, pid ${lock.holder}, has it`)
  return lock.fd
}

function take(file: string): Lock {
  try {
    return lockFile(file, 0o644, before => {
      if (!/^\d*\n?$/.test(before)) throw new Failure(`cannot write ${file}: it is there and is no pid file`)
    })
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(`cannot write ${file}: ${causeOf(error)}`)
  }
}
