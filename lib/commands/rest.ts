/** `lookout rest`: puts an app to rest now, as if it had been idle: what was begun is finished. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Misuse } from '../errors.js'
import { find } from '../running.js'
import { Signal } from '../signals.js'

const USAGE = 'Usage: lookout rest NAME|PID|PIDFILE'

/** ms between two looks. */
const LOOK = 20

/** @throws Misuse where there is no such app */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [target, ...more] = args
  if (target === '--help')
    return console.log(`${USAGE}\n\nPuts an app to rest now: what was begun is finished. Waits for that.`)
  if (target === undefined || more.length > 0 || target.startsWith('-'))
    throw new Misuse(USAGE.replace('Usage', 'usage'))
  const running = find('rest', target, env)
  const master = running.master()
  for (let told = false; master !== undefined && running.master() === master; await sleep(LOOK)) {
    if (!told) told = running.tell(Signal.TERM)
  }
  console.log(`${running.name} rests`)
}
