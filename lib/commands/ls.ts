/** `lookout ls`: the apps that are held, one a line. */
import Table from 'cli-table3'
import { Misuse } from '../errors.js'
import { type Survey, survey } from '../survey.js'

const USAGE = 'Usage: lookout ls [--json]'

const HEAD = ['NAME', 'STATE', 'ADDRESS', 'PID', 'MEMORY', 'REQUESTS', 'WAKES', 'WHY']

/** Neither lines nor colours: what a shell can cut. */
const PLAIN = {
  chars: Object.fromEntries(
    ['top', 'bottom', 'left', 'right'].flatMap(side => [
      [side, ''],
      [`${side}-mid`, ''],
      [`${side}-left`, ''],
      [`${side}-right`, ''],
    ]),
  ),
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
}

/** @throws Misuse */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const unknown = args.find(arg => arg !== '--json' && arg !== '--help')
  if (unknown !== undefined) throw new Misuse(USAGE.replace('Usage', 'usage'))
  if (args.includes('--help'))
    return console.log(`${USAGE}\n\nLists the apps that your lookouts hold. Nobody is woken by it.`)
  const found = survey(env)
  if (args.includes('--json')) return console.log(JSON.stringify(found.map(flat), null, 2))
  const table = new Table({ ...PLAIN, chars: { ...PLAIN.chars, mid: '', 'mid-mid': '', middle: '' }, head: HEAD })
  table.push(...found.map(lineOf))
  console.log(table.toString().replace(/ +$/gm, ''))
}

function lineOf({ name, state, urls, master, rss, record }: Survey): string[] {
  const { requests, wakes, why, bootError } = record
  const memory = rss === 0 ? '' : `${Math.round(rss / 2 ** 20)} MB`
  return [
    name,
    state,
    urls.join(' '),
    `${master ?? ''}`,
    memory,
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
