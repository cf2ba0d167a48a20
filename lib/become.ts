/** This process becomes another program, under the same pid. */
import { writeCompiled } from './compile-cache.js'
import { causeOf, Failure } from './errors.js'
import { tracer } from './log.js'
import { posix } from './posix.js'

const trace = tracer('prepare')

/**
 * @param fds become its descriptors from 0 on
 * @throws Failure where it cannot be run
 */
export function become(file: string, argv: string[], env: NodeJS.ProcessEnv, fds: number[]): void {
  trace('becomes %s %o', file, argv)
  const list = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  writeCompiled()
  try {
    posix.exec(file, argv, list, fds)
  } catch (error) {
    throw new Failure(`cannot run ${file}: ${causeOf(error)}`)
  }
}
