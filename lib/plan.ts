/** The argument vector of the resting program: the other half of the contract that opens native/lookout.c. */
import path from 'node:path'
import { type AppConfig, encode, inherited } from './config.js'
import { socketNames } from './environment.js'
import { HANDOFF } from './sockets.js'

/** An app as the resting program has it. */
export interface PlannedApp {
  config: AppConfig
  /** How many sockets each of its addresses has, in order. */
  groups: number[]
  /** Whether one more follows, on which it is handed connections. */
  handoff?: boolean
  /** The same as long as nothing about the app changes: else a master that is awake is to leave. */
  version: string
  /** How a worker is started. */
  worker: string[]
  /** Who its processes are, as UID:GID:GROUP,...; '': who lookout is. */
  user: string
  /** Where its processes work; '': where lookout was started. */
  folder: string
  /** Added to the environment. */
  env: Record<string, string>
}

export interface Plan {
  /** Said on stderr once the resting program is in charge; '' for nothing. */
  ready: string
  quiet: boolean
  /** The lowest of the listening descriptors, which follow each other. */
  first: number
  /** The board's descriptor, below them. */
  board: number
  /** Files that are removed at the end. */
  files: string[]
  /** An argument vector that HUP runs; none: HUP ends it. */
  reload: string[]
  apps: PlannedApp[]
}

/** The processes that are woken, made of ours by scripts/boot.js. */
export const boot = (name: string): string => path.join(__dirname, '../boot', name)

/**
 * node's own options for a worker: at its end forgetPreload() in worker.ts takes them out of process.execArgv. With the young
 * generation as large as V8 lets it grow anyway, no garbage is collected before the first answer.
 */
export const WORKER_OPTIONS = ['--min-semi-space-size=16', '--require', boot('worker.js')]

/** How a worker is started: its argument vector. */
export function workerArgv(script: string, args: string[], node = process.execPath): string[] {
  return [node, ...WORKER_OPTIONS, script, ...args]
}

/** The master's ends with its workers', of which it starts more. */
export function masterArgv(worker: string[]): string[] {
  return [process.execPath, boot('master.js'), ...worker]
}

/** The words before those of the first app; LIVEC, the last of them, says that nothing is awake. */
function headOf({ ready, quiet, first, board, files, reload }: Plan): (string | number)[] {
  return ['lookout', ready, quiet ? 1 : 0, first, board, files.length, ...files, reload.length, ...reload, 0]
}

function wordsOf({ config, groups, handoff = false, version, ...rest }: PlannedApp): (string | number)[] {
  const { worker, user, folder, env } = rest
  const sockets = groups.reduce((sum, count) => sum + count, handoff ? 1 : 0)
  const variables = { ...env, LISTEN_FDNAMES: socketNames(groups, handoff), LOOKOUT_APP: encode(config) }
  const entries = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const master = masterArgv(worker)
  const before = [config.name, version, sockets, config.grace, user, folder, entries.length, ...entries]
  return [...before, master.length, master.length - worker.length, ...master]
}

export function restingArgv(plan: Plan): string[] {
  return [...headOf(plan), ...plan.apps.flatMap(wordsOf)].map(String)
}

/** The same without LIVEC, which a body that was there before puts in, at that place. */
export function nextArgv(plan: Plan): { argv: string[]; live: number } {
  const argv = restingArgv(plan)
  const live = headOf(plan).length - 1
  return { argv: argv.toSpliced(live, 1), live }
}

/** An app of a resting program that runs. */
export interface FoundApp {
  config: AppConfig
  version: string
  /** The first of its sockets, counted from the lowest of all, and how many each address has. */
  at: number
  groups: number[]
  /** Whether one more follows. */
  handoff: boolean
}

export interface Found {
  first: number
  board: number
  /** Whether HUP has it think again. */
  reloads: boolean
  apps: FoundApp[]
}

/**
 * What restingArgv() was told, by the argument vector of a process.
 * @returns undefined where that is no resting program's, or of another release
 */
export function readPlan(argv: string[]): Found | undefined {
  try {
    return new Reader(argv.slice(1)).plan()
  } catch {
    return undefined
  }
}

/** How many words LIVE has of each app. */
const LIVE = 8

class Reader {
  #at = 0

  constructor(private readonly words: string[]) {}

  #word(): string {
    const word = this.words[this.#at++]
    if (word === undefined) throw new RangeError('too few words')
    return word
  }

  #number(): number {
    const word = this.#word()
    if (!/^\d+$/.test(word)) throw new RangeError('no number')
    return Number(word)
  }

  #vector(): string[] {
    const length = this.#number()
    if (length > this.words.length) throw new RangeError('too few words') // before there is room made for them
    return Array.from({ length }, () => this.#word())
  }

  plan(): Found {
    this.#at += 2 // READY, QUIET
    const [first, board] = [this.#number(), this.#number()]
    this.#vector() // FILE
    const reloads = this.#vector().length > 0
    const live = this.#number()
    this.#at += live * LIVE
    const apps: FoundApp[] = []
    for (let at = 0; this.#at < this.words.length; ) {
      const app = this.#app(at)
      at += app.groups.reduce((sum, count) => sum + count, app.handoff ? 1 : 0)
      apps.push(app)
    }
    return { first, board, reloads, apps }
  }

  #app(at: number): FoundApp {
    this.#word() // NAME, which its configuration has, too
    const version = this.#word()
    this.#number() // SOCKETS
    this.#number() // GRACE
    this.#word() // USER
    this.#word() // FOLDER
    const entries = this.#vector()
    const env = Object.fromEntries(entries.map(entry => [entry.replace(/=.*/s, ''), entry.replace(/^[^=]*=/, '')]))
    const argc = this.#number()
    this.#at += 1 + argc // WORKER, ARG
    const config = inherited(env)
    if (!config) throw new RangeError('no configuration')
    const names = (env.LISTEN_FDNAMES ?? '').split(':')
    const handoff = names.at(-1) === HANDOFF
    return { config, version, at, groups: groupsOf(handoff ? names.slice(0, -1) : names), handoff }
  }
}

/** How many sockets each address has, by their names. */
function groupsOf(names: string[]): number[] {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts.values()]
}
