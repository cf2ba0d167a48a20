/** `lookout top`: the apps that are held as they are now, again and again, those that do something first. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import readline from 'node:readline'
import { Apps, type Seen } from '../apps.js'
import { now } from '../clock.js'
import { Misuse } from '../errors.js'
import { instanceOf, pidsOf } from '../instances.js'
import { megabytes, tableOf } from '../table.js'
import { plain, plural } from '../text.js'

const USAGE = 'Usage: lookout top'

const HELP = `${USAGE}

Shows the apps that your lookouts hold, every second, those first that are awake. q ends it. Nobody is woken by it.`

const HEAD = ['NAME', 'STATE', 'PID', 'CPU', 'MEMORY', 'REQUESTS', '/S', 'WAKES', 'WHY']

/** ms between two looks. */
const INTERVAL = 1000

/** The other screen of a terminal, without a cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'

/** @throws Misuse where there is no terminal */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (args[0] === '--help') return console.log(HELP)
  if (args.length > 0) throw new Misuse(USAGE.replace('Usage', 'usage'))
  if (!process.stdout.isTTY || !process.stdin.isTTY)
    throw new Misuse('cannot show top: a terminal is wanted (lookout ls)')
  const watch = new Watch(env)
  let leave: () => void = () => {}
  const ended = new Promise<void>(resolve => {
    leave = resolve
  })
  readline.emitKeypressEvents(process.stdin)
  process.stdin.setRawMode(true)
  process.stdin.on('keypress', (_, key: readline.Key) => {
    if (key.name === 'q' || key.name === 'escape' || (key.ctrl && key.name === 'c')) leave()
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave)
  process.stdout.write(ENTER)
  const draw = () =>
    process.stdout.write(`\u001b[H\u001b[J${watch.screen(process.stdout.columns, process.stdout.rows)}`)
  process.stdout.on('resize', draw)
  const timer = setInterval(() => {
    watch.look()
    draw()
  }, INTERVAL)
  draw()
  await ended
  clearInterval(timer)
  process.stdin.setRawMode(false)
  process.stdin.pause()
  process.stdout.off('resize', draw)
  process.stdout.write(LEAVE)
}

interface Row extends Seen {
  /** Per cent of a processor. */
  cpu: number
  /** Requests a second. */
  rate: number
}

/** What two looks say together. */
export class Watch {
  /** By the pids of lookouts. */
  readonly #lookouts = new Map<number, Apps>()
  #before = new Map<string, { cpu: number; requests: number; at: number }>()
  #rows: Row[] = []

  constructor(private readonly env: NodeJS.ProcessEnv) {
    this.look()
  }

  look(): void {
    this.#find()
    const seen = [...this.#lookouts].flatMap(([pid, apps]) =>
      apps.look().map(app => ({ key: `${pid} ${app.name}`, app })),
    )
    const looks = new Map(
      seen.map(({ key, app }) => [key, { cpu: cpuOf(app), requests: app.record.requests, at: now() }]),
    )
    this.#rows = seen.map(({ key, app }) => {
      const [look, before] = [looks.get(key)!, this.#before.get(key)]
      const seconds = before ? (look.at - before.at) / 1000 : 0
      const rate = (count: number) => (seconds > 0 ? Math.max(0, count) / seconds : 0)
      return {
        ...app,
        cpu: rate(look.cpu - (before?.cpu ?? 0)) * 100,
        rate: rate(look.requests - (before?.requests ?? 0)),
      }
    })
    this.#before = looks
  }

  /** Lookouts come and go. */
  #find(): void {
    const pids = pidsOf(this.env)
    for (const [pid, apps] of this.#lookouts) {
      if (pids.includes(pid)) continue
      apps.close()
      this.#lookouts.delete(pid)
    }
    for (const pid of pids) {
      const instance = this.#lookouts.has(pid) ? undefined : instanceOf(pid)
      if (instance) this.#lookouts.set(pid, new Apps(instance, true))
    }
  }

  /** As much as fits. */
  screen(columns: number, lines: number): string {
    const rank = { awake: 0, fails: 0, rests: 1 }
    const rows = this.#rows.toSorted((a, b) => rank[a.state] - rank[b.state] || b.cpu - a.cpu)
    const sum = (value: (row: Row) => number) => rows.reduce((sum, row) => sum + value(row), 0)
    const awake = rows.filter(({ state }) => state !== 'rests').length
    const memory = megabytes(sum(({ rss }) => rss)) || '0 MB'
    const title = `${plural(rows.length, 'app')}, ${awake} awake; ${memory}, ${Math.round(sum(({ cpu }) => cpu))}% of a processor`
    const table = tableOf(HEAD, rows.map(cellsOf)).split('\n')
    const room = Math.max(1, lines - 3)
    const more = table.length > room ? [`... ${table.length - room} more`] : []
    return [title, '', ...table.slice(0, room), ...more].map(line => line.slice(0, columns)).join('\n')
  }
}

function cellsOf({ name, state, master, cpu, rss, rate, record }: Row): string[] {
  const { requests, wakes, why, bootError } = record
  return [
    name,
    state,
    `${master ?? ''}`,
    master === undefined ? '' : `${Math.round(cpu)}%`,
    megabytes(rss),
    `${requests}`,
    rate === 0 ? '' : `${Math.round(rate)}`,
    `${wakes}`,
    plain(state === 'fails' ? bootError : why),
  ]
}

let second: number | undefined

/** s of a processor that an app's processes have used. */
function cpuOf({ master, workers }: Seen): number {
  second ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  return [master ?? [], workers].flat().reduce((sum, pid) => sum + ticksOf(pid), 0) / second
}

function ticksOf(pid: number): number {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [user, system] = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
    return Number(user) + Number(system)
  } catch {
    return 0 // gone meanwhile
  }
}
