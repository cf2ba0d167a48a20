/** `lookout wake`: has an app woken, as a connection would, and waits until it serves. */
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../clock.js'
import { Failure, Misuse } from '../errors.js'
import { find } from '../running.js'
import { survey } from '../survey.js'

const USAGE = 'Usage: lookout wake NAME'

/** ms between two looks, and for all of them. */
const LOOK = 20
const PATIENCE = 60_000

/** @throws Misuse where there is no such app, Failure with the reason where it does not come to serve */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [target, ...more] = args
  if (target === '--help')
    return console.log(`${USAGE}\n\nWakes an app that \`lookout up\` holds, and waits until it serves.`)
  if (target === undefined || more.length > 0 || target.startsWith('-'))
    throw new Misuse(USAGE.replace('Usage', 'usage'))
  const running = find('wake', target, env)
  if (!running.wake()) throw new Misuse(`cannot wake ${target}: it is not held by lookout up`)
  for (const end = now() + PATIENCE; now() < end; await sleep(LOOK)) {
    const app = survey(env).find(({ name }) => name === running.name)
    if (app?.state === 'fails') throw new Failure(`cannot wake ${target}: ${app.record.bootError}`)
    if (app?.serves) return console.log(`${target} is awake`)
  }
  throw new Failure(`cannot wake ${target}: it does not serve yet (lookout status ${target})`)
}
