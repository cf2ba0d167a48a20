/** What the buttons of the gateway's page do. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Apps } from './apps.js'
import { now } from './clock.js'
import { knock, tell } from './running.js'
import { Signal } from './signals.js'

export const ACTIONS = ['wake', 'rest', 'restart'] as const

export type Action = (typeof ACTIONS)[number]

/** ms between two looks. */
const LOOK = 20

/** ms that a master has to hear us, which is being woken. */
const BOOT = 5000

/** ms that the answer waits for something to be seen of it: without script, it shows how things are then. */
const SEEN = 300

/**
 * @param handoff where the gateway can wake it
 * @returns once it has begun; why it has not, where it cannot
 */
export async function act(
  action: Action,
  name: string,
  handoff: string | undefined,
  apps: Apps,
): Promise<string | undefined> {
  const before = apps.sign(name)
  if (action === 'wake') {
    if (handoff === undefined) return `cannot wake ${name}: it is reached by its addresses alone`
    if (!knock(handoff)) return `cannot wake ${name}: nobody listens for that`
  } else if (!(await told(action === 'rest' ? Signal.TERM : Signal.USR2, name, apps)))
    return `cannot ${action} ${name}: its master does not hear`
  for (const end = now() + SEEN; apps.sign(name) === before && now() < end; ) await sleep(LOOK)
  return undefined
}

/** Tells the master that there is now, once it hears. @returns false where it does not; at rest there is nothing to tell */
async function told(signal: number, name: string, apps: Apps): Promise<boolean> {
  const master = apps.master(name)
  for (const end = now() + BOOT; master !== undefined && apps.master(name) === master; await sleep(LOOK)) {
    if (tell(master, signal)) return true
    if (now() > end) return false
  }
  return true
}
