/** `lookout restart`: has the workers of an app replaced one by one, waits, and says how it went. */
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock.js'
import { Failure, Misuse } from '../errors.js'
import { find, type Running } from '../running.js'
import { Signal } from '../signals.js'

const USAGE = 'Usage: lookout restart NAME|PID|PIDFILE'

const HELP = `Replaces the workers of an app one by one by such that have loaded it anew, and waits for that. No request fails for
it. Exits with 1, and the reason, where a new worker does not come to listen: the others then serve as before.`

const RESTS = 'it rests: the next connection loads it anew'

/** ms between two looks at the board. */
const LOOK = 20

/** ms that a master has to hear us, which is being woken. */
const BOOT = 5000

/** @throws Misuse, or Failure with what went wrong: the app then serves as before */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [target, ...more] = args
  if (target === '--help') return console.log(`${USAGE}\n\n${HELP}`)
  if (target === undefined || more.length > 0 || target.startsWith('-'))
    throw new Misuse(USAGE.replace('Usage', 'usage'))
  const running = find('restart', target, env)
  const { restartsBegun } = running.board.read()
  const master = await tell(running)
  for (;;) {
    if (!running.lives()) throw new Failure(`cannot restart ${target}: it has ended`)
    const { restartsEnded, restartFailed, restart } = running.board.read()
    // One that had begun before may have loaded the old code.
    if (restartsEnded > restartsBegun) {
      if (restartFailed) throw new Failure(`cannot restart ${target}: ${restart}`)
      return console.log(restart)
    }
    // Another master than the one that was told has loaded the app since.
    if (master === undefined || running.master() !== master) return console.log(RESTS)
    await sleep(LOOK)
  }
}

/** The master that was told; undefined where there is none. */
async function tell(running: Running): Promise<number | undefined> {
  for (const end = now() + BOOT; ; await sleep(LOOK)) {
    const master = running.master()
    if (master === undefined || running.tell(Signal.USR2)) return master
    if (now() > end) throw new Failure(`cannot restart ${running.name}: its master does not hear`)
  }
}
