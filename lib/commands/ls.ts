/** `lookout ls`: the apps that are held, one a line. */
import { Misuse } from '../errors.js'
import { type Survey, survey } from '../survey.js'
import { megabytes, tableOf } from '../table.js'

const USAGE = 'Usage: lookout ls [--json]'

const HEAD = ['NAME', 'STATE', 'ADDRESS', 'PID', 'MEMORY', 'REQUESTS', 'WAKES', 'WHY']

/** @throws Misuse */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const unknown = args.find(arg => arg !== '--json' && arg !== '--help')
  if (unknown !== undefined) throw new Misuse(USAGE.replace('Usage', 'usage'))
  if (args.includes('--help'))
    return console.log(`${USAGE}\n\nLists the apps that your lookouts hold. Nobody is woken by it.`)
  const found = survey(env)
  if (args.includes('--json')) return console.log(JSON.stringify(found.map(flat), null, 2))
  console.log(tableOf(HEAD, found.map(lineOf)))
}

function lineOf({ name, state, urls, master, rss, record }: Survey): string[] {
  const { requests, wakes, why, bootError } = record
  return [
    name,
    state,
    urls.join(' '),
    `${master ?? ''}`,
    megabytes(rss),
    `${requests}`,
    `${wakes}`,
    state === 'fails' ? bootError : why,
  ]
}

/** The same for programs: STATISTICS in lookout(1) says what each is. */
function flat({ record, ...rest }: Survey): object {
  const { wakes, failures, requests, changedAt, why, bootError, restart, firstRequest } = record
  const since = changedAt > 0 ? new Date(Math.min(changedAt, Date.now())).toISOString() : null
  return { ...rest, since, why, wakes, failures, requests, firstRequest, bootError, restart }
}
