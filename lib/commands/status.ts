/** `lookout status`: why an app is awake, or rests, or fails, in sentences. */
import { duration } from '../clock.js'
import { Misuse } from '../errors.js'
import { type Survey, survey } from '../survey.js'
import { plural } from '../text.js'

const USAGE = 'Usage: lookout status [NAME]'

/** @throws Misuse where there is no such app */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [name, ...more] = args
  if (name === '--help')
    return console.log(`${USAGE}\n\nSays why an app is awake, why it rests, or why it fails. Nobody is woken by it.`)
  if (more.length > 0 || name?.startsWith('-')) throw new Misuse(USAGE.replace('Usage', 'usage'))
  const found = survey(env).filter(app => name === undefined || app.name === name)
  if (found.length === 0)
    throw new Misuse(name === undefined ? 'there is no lookout' : `there is no app ${name} (lookout ls)`)
  for (const app of found) console.log(explain(app, Date.now()))
}

/** @param time ms since 1970 */
export function explain({ name, state, urls, lookout, master, workers, record }: Survey, time: number): string {
  const { changedAt, why, wakes, requests, failures, firstRequest, bootError, restart } = record
  const lines = [`${name}: ${sentence()}`, `  ${urls.length > 0 ? `at ${urls.join(', ')}, ` : ''}held by ${lookout}`]
  if (master !== undefined) lines.push(`  master ${master}, workers ${workers.join(' ') || 'none'}`)
  if (wakes > 0) lines.push(`  ${history()}`)
  if (restart) lines.push(`  last restart: ${restart}`)
  if (bootError && state !== 'fails') lines.push(`  it once failed: ${bootError}`)
  return lines.join('\n')

  function sentence(): string {
    if (state === 'fails') return `fails: ${bootError}${/ try/.test(why) ? `; ${why}` : ''}`
    if (state === 'awake')
      return changedAt > 0 ? `awake for ${duration(Math.max(0, time - changedAt))}: ${why}` : 'is being woken'
    return changedAt > 0 ? `rests since ${clock(changedAt)}: ${why}` : 'rests, and was not woken yet'
  }

  function history(): string {
    const first = firstRequest ? `, first request ${duration(firstRequest.median)} (median)` : ''
    const failed = failures > 0 ? `, ${plural(failures, 'failure')}` : ''
    return `woken ${wakes === 1 ? 'once' : `${wakes} times`}, ${plural(requests, 'request')}${first}${failed}`
  }
}

/** 14:02, with the date where it is another day's. */
function clock(time: number): string {
  const date = new Date(time)
  const [day, hours] = [date.toLocaleDateString('sv'), date.toLocaleTimeString('sv').slice(0, 5)]
  return day === new Date().toLocaleDateString('sv') ? hours : `${day} ${hours}`
}
