/** `lookout logs`: what apps have said that have a log of their own; with --follow, what they say from now on as well. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Misuse } from '../errors.js'
import { instances } from '../instances.js'
import { Tail } from '../tail.js'

const USAGE = 'Usage: lookout logs [--follow] [--lines N] [NAME...]'

const HELP = `${USAGE}

Prints the last lines (10) of the logs of the apps that are named, or of all. Apps have logs where "log" in their
configuration, or --log, says so; else they write where their lookout does.

  -f, --follow   then whatever they say, as they say it
  -n, --lines N  so many lines of each`

/** ms between two looks. */
const LOOK = 100

/** @throws Misuse where there is no such app, or no log */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { values, positionals } = read(args)
  if (values.help) return console.log(HELP)
  if (!/^\d{1,6}$/.test(values.lines)) throw new Misuse(`cannot print ${values.lines} lines: a number is wanted`)
  const files = filesOf(positionals, env)
  const width = Math.max(...[...files.values()].map(name => name.length))
  const begin = (name: string) => (files.size === 1 ? '' : `${name.padEnd(width)} | `)
  const tails = [...files].map(([file, name]) => ({ begin: begin(name), tail: new Tail(file) }))
  for (const { begin, tail } of tails) print(begin, tail.last(Number(values.lines)))
  while (values.follow) {
    for (const { begin, tail } of tails) print(begin, tail.next())
    await sleep(LOOK)
  }
}

function read(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        follow: { type: 'boolean', short: 'f', default: false },
        lines: { type: 'string', short: 'n', default: '10' },
        help: { type: 'boolean', default: false },
      },
    })
  } catch {
    throw new Misuse(USAGE.replace('Usage', 'usage'))
  }
}

/** Which app each log is of: the logs of these apps, or of all that have one. Where two lookouts have one of that name, whose. */
function filesOf(names: string[], env: NodeJS.ProcessEnv): Map<string, string> {
  const apps = instances(env).flatMap(({ pid, apps }) => apps.map(({ config: { name, log } }) => ({ pid, name, log })))
  const missing = names.find(name => !apps.some(app => app.name === name))
  if (missing !== undefined) throw new Misuse(`there is no app ${missing} (lookout ls)`)
  const wanted = apps.filter(({ name }) => names.length === 0 || names.includes(name))
  const mute = wanted.find(({ name, log }) => names.includes(name) && log === undefined)
  const isOne = (name: string) => wanted.filter(app => app.name === name).length === 1
  const files = new Map(
    wanted.flatMap(({ pid, name, log }) => (log === undefined ? [] : [[log, isOne(name) ? name : `${name} ${pid}`]])),
  )
  const hint = 'what it says is where its lookout writes ("log" in its configuration, or --log, names a file)'
  if (mute) throw new Misuse(`cannot show the log of ${mute.name}: ${hint}`)
  if (files.size === 0) throw new Misuse(`cannot show logs: no app has one ("log" in a configuration, or --log)`)
  return files
}

function print(begin: string, lines: string[]): void {
  if (lines.length > 0) process.stdout.write(lines.map(line => `${begin}${line}\n`).join(''))
}
