/** `lookout stop`, `lookout reload`: what is for a whole lookout, by its pid, or for the only one there is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Misuse } from '../errors.js'
import { type Instance, instanceOf, instances } from '../instances.js'
import { posix } from '../posix.js'
import { Signal } from '../signals.js'

const USAGE = 'Usage: lookout stop [PID]'

/** ms between two looks. */
const LOOK = 20

/**
 * The lookout that is meant.
 * @throws Misuse where there is none, or a choice
 */
export function only(verb: string, args: string[], env: NodeJS.ProcessEnv): Instance {
  const [pid, ...more] = args
  if (more.length > 0 || (pid !== undefined && !/^\d{1,7}$/.test(pid))) throw new Misuse(`usage: lookout ${verb} [PID]`)
  const found = pid === undefined ? instances(env) : [instanceOf(Number(pid))].flatMap(instance => instance ?? [])
  if (found.length === 1) return found[0]!
  if (pid !== undefined) throw new Misuse(`cannot ${verb} ${pid}: there is no lookout with pid ${pid}`)
  if (found.length === 0) throw new Misuse(`cannot ${verb}: there is no lookout`)
  throw new Misuse(
    `cannot ${verb}: there are several, with the pids ${found.map(({ pid }) => pid).join(', ')}; name one`,
  )
}

/** @throws Misuse */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (args[0] === '--help')
    return console.log(`${USAGE}\n\nEnds a lookout: its apps finish what they have begun. Waits for that.`)
  const { pid, pidfd } = only('stop', args, env)
  posix.pidfdKill(pidfd, Signal.TERM)
  while (posix.pidfdKill(pidfd, 0) && instanceOf(pid)) await sleep(LOOK)
  console.log(`stopped ${pid}`)
}
