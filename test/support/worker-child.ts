/** A child of the test that stands where a worker would. */
import { posix } from '../../lib/posix.js'
import { MARK } from './lookout.js'

/**
 * @param script what it runs; its channel is descriptor 3
 * @returns our end of the channel, which is the caller's, as the child is, to be reaped
 */
export function startChild(script: string): { pid: number; channel: number } {
  const [channel, theirs] = posix.socketpair()
  const argv = [process.execPath, '--eval', script]
  const pid = posix.spawn(process.execPath, argv, [MARK, `PATH=${process.env.PATH}`], [0, 1, 2, theirs], 0)
  posix.close(theirs)
  return { pid, channel }
}
