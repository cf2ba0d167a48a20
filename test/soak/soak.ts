/**
 * A soak: `npm run soak -- [--minutes 10] [--seed N]`. Two lookouts, one of one app and one of three by `up`, are asked all the
 * time, in every way, while whatever may happen to them is done at random. What fails may only fail for a reason that model.ts
 * knows; what must hold is in invariants.ts. It ends with 1 at the first thing that is not as it should be, and says what it was
 * doing. The same seed chooses the same things; when they come about is the machine's affair.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { leftovers, mochaHooks } from '../support/hooks.js'
import { until } from '../support/lookout.js'
import { ACTIONS, type Action } from './actions.js'
import { count, type Tally, Violation } from './clients.js'
import { Invariants, shared, strays } from './invariants.js'
import { KNOWN } from './model.js'
import { Random } from './random.js'
import { Subject } from './subject.js'

/** ms of a round, at whose end the invariants are looked at, and rounds until all are to rest. */
const ROUND = 5000
const ROUNDS = 3

/** ms between two lines. */
const LINE = 10_000

/** How many of the last actions are told, and how many may go on beside others. */
const LAST = 30
const ASIDE = 3

/** ms between two actions at most. */
const PAUSE = 300

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } } })
const minutes = Number(values.minutes)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error('usage: npm run soak -- [--minutes N] [--seed N]')
  process.exit(2)
}

/** Since this process was started, as all times are. */
const seconds = () => `${(performance.now() / 1000).toFixed(2)} s`

const tally: Tally = { requests: 0, kinds: new Map(), excused: new Map() }
const done = new Map<string, number>()
const last: string[] = []
let isOver = false

let blame!: (violation: Error) => void
/** Rejects with the first thing that is wrong. */
const wrong = new Promise<never>((_, reject) => {
  blame = reject
})
wrong.catch(() => {})

function note(text: string): void {
  last.push(`${seconds()}: ${text}`)
  if (last.length > LAST) last.shift()
}

/** One lookout, until the time is up. */
async function soak(subject: Subject, random: Random): Promise<void> {
  const invariants = new Invariants(subject)
  const actions = ACTIONS.filter(({ only }) => only === undefined || only === subject.kind)
  const aside = new Set<Promise<void>>()
  await subject.start()
  for (const client of subject.clients) client.start()
  for (let round = 1; !isOver; round++) {
    for (const end = performance.now() + ROUND; performance.now() < end && !isOver; ) {
      const action = random.weighted(actions)
      // What ends lookout itself comes when nothing else is under way, and so does what is one too many.
      if (/lookout$/.test(action.name) || aside.size >= ASIDE) await Promise.all(aside)
      const doing: Promise<void> = act(subject, action)
        .catch(blame)
        .finally(() => aside.delete(doing))
      if (action.aside) aside.add(doing)
      else await doing
      await sleep(random.between(0, PAUSE))
    }
    await Promise.all(aside)
    subject.thaw()
    subject.model.forget()
    await invariants.check()
    if (round % ROUNDS === 0 || isOver) await rest(subject, invariants)
  }
  for (const client of subject.clients) await client.stop()
  await subject.end('SIGTERM')
  invariants.ended()
}

async function act(subject: Subject, action: Action): Promise<void> {
  const at = `${subject.kind}: ${action.name}`
  note(at)
  count(done, action.name)
  const how = await action.run(subject)
  if (how !== '') note(`${at}: ${how}`)
}

async function rest(subject: Subject, invariants: Invariants): Promise<void> {
  note(`${subject.kind}: all clients pause`)
  await Promise.all(subject.clients.map(client => client.pause()))
  await invariants.atRest()
  for (const client of subject.clients) client.resume()
}

const sum = (counts: Map<string, number>) => [...counts.values()].reduce((all, some) => all + some, 0)
const number = (value: number) => value.toLocaleString('en')

function line(subjects: Subject[]): string {
  const wakes = subjects.reduce((all, { wakes }) => all + wakes, 0)
  const excused = sum(tally.excused)
  return `${number(sum(done))} actions, ${number(tally.requests)} requests, ${number(excused)} failures allowed, ${number(wakes)} wakes`
}

function table(title: string, counts: Map<string, number>): string {
  const rows = [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, times]) => `  ${number(times).padStart(8)}  ${name}`)
  return [title, ...rows].join('\n')
}

/** Everywhere: what no lookout knows of. */
async function look(subjects: Subject[]): Promise<void> {
  while (!isOver) {
    await sleep(ROUND)
    const roots = () => [process.pid, ...subjects.map(({ lookout }) => lookout?.pid ?? process.pid)]
    await until('no process of ours that is nobody’s', () => strays(roots()).length === 0, ROUND).catch(() => {
      throw new Violation(`nobody’s: ${strays(roots()).join('\n')}`)
    })
    if (shared().length > 0) throw new Violation(`in /dev/shm: ${shared()}`)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // gone meanwhile
  }
}

async function main(): Promise<void> {
  console.log(`seed ${seed}, ${minutes} min`)
  const random = new Random(seed)
  const telling = { note, blame, tally }
  const subjects = [await Subject.make('one', random.fork(), telling), await Subject.make('up', random.fork(), telling)]
  const lines = setInterval(() => console.log(`${seconds()}: ${line(subjects)}`), LINE)
  const timer = setTimeout(() => {
    isOver = true
  }, minutes * 60_000)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => blame(new Violation(`got ${signal}`)))
  try {
    const all = Promise.all([...subjects.map(subject => soak(subject, random.fork())), look(subjects)])
    await Promise.race([all, wrong])
    await Promise.race([sleep(KNOWN + 100), wrong]) // the last failures are judged by then
    console.log(`seed ${seed}: all held`)
  } catch (error) {
    process.exitCode = 1
    const text = error instanceof Violation ? error.message : (error as Error).stack
    console.error(`\n${seconds()}: seed ${seed}: ${text}\n\nthe last actions:\n${last.join('\n')}`)
    // What goes on for want of a master, or is stopped, would be waited for.
    for (const process of leftovers()) kill(Number.parseInt(process, 10))
  } finally {
    isOver = true
    clearInterval(lines)
    clearTimeout(timer)
    console.log(`${seconds()}: ${line(subjects)}`)
    console.log(table('actions', done))
    console.log(table('requests', tally.kinds))
    console.log(table('failures that are allowed', tally.excused))
  }
  await mochaHooks.afterEach()
}

main().then(
  () => process.exit(),
  error => {
    console.error(error)
    process.exit(1)
  },
)
