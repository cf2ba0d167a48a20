/** `lookout reload`: has a lookout read its configuration again, waits, and says how it went. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Board } from '../board.js'
import { now } from '../clock.js'
import { Failure } from '../errors.js'
import { posix } from '../posix.js'
import { Signal } from '../signals.js'
import { only } from './stop.js'

const HELP = `Usage: lookout reload [PID]

Has a lookout that was started by \`lookout up\` read its configuration again: apps that are new are held, those that are
gone or have changed finish what they have begun, all others do not notice. A configuration that is wrong changes nothing.`

/** ms between two looks at the board, and for all of them. */
const LOOK = 20
const PATIENCE = 60_000

/** @throws Misuse, or Failure with what is wrong with the new configuration */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (args[0] === '--help') return console.log(HELP)
  const instance = only('reload', args, env)
  if (!instance.reloads) throw new Failure(`cannot reload ${instance.pid}: it has no configuration (lookout up has)`)
  const board = new Board(instance.boardFd)
  const { restartsBegun } = board.read()
  posix.pidfdKill(instance.pidfd, Signal.HUP)
  for (const end = now() + PATIENCE; now() < end; await sleep(LOOK)) {
    if (!posix.pidfdKill(instance.pidfd, 0)) throw new Failure(`cannot reload ${instance.pid}: it has ended`)
    const { restartsEnded, restartFailed, restart } = board.read()
    if (restartsEnded <= restartsBegun) continue
    if (restartFailed) throw new Failure(restart)
    return console.log(restart)
  }
  throw new Failure(`cannot reload ${instance.pid}: it does not answer`)
}
