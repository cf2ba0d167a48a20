/**
 * `lookout up`: all apps of a configuration behind one resting program, which HUP has think again: then this runs as its child,
 * and what has not changed is not touched.
 */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { become } from '../become.js'
import { type Bound, bind, release } from '../bind.js'
import { Board, makeBoard } from '../board.js'
import { type AppConfig, INTERNAL } from '../config.js'
import { type AppSpec, type Configuration, loadConfiguration } from '../configuration.js'
import { appEnvironment } from '../environment.js'
import { Failure, Misuse } from '../errors.js'
import { register, runtimeFolder } from '../instances.js'
import { say } from '../log.js'
import { type FoundApp, type Plan, type PlannedApp, restingArgv, workerArgv } from '../plan.js'
import { posix, resting } from '../posix.js'
import { addressesHeld, type Held, handOver, held, keyOf } from '../reload.js'
import { resolveScript } from '../script.js'

/** Apps for which there is room on the board; the first slot is lookout's own. */
const MOST = 1000

const STANDARD = [0, 1, 2]

const USAGE = `Usage: lookout up [FILE | FOLDER...]

Holds all apps of a configuration (lookout.config.json, .js, .mjs, .ts), or of folders with a package.json each, in
one resting process. See lookout.config(5).`

/** @throws Misuse, Failure; otherwise this process is another afterwards, or has told its parent what to become */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (args.includes('--help')) return console.log(USAGE)
  const unknown = args.find(arg => arg.startsWith('-'))
  if (unknown !== undefined) throw new Misuse(`unknown option '${unknown}'`)
  const before = held(env)
  if (before) return reload(args, env, before)
  const up = new Up(await loadConfiguration(args, process.cwd()), env)
  try {
    await up.bind()
    const registered = register(env)
    const kept = [makeBoard(MOST + 1), ...(registered ? [registered.fd] : [])]
    const { plan, fds } = up.plan(args, kept, registered ? [registered.file] : [])
    for (const line of up.lines()) say(`lookout ${process.pid}`, line)
    become(resting, restingArgv(plan), appEnvironment(env), [...STANDARD, ...fds])
  } catch (error) {
    up.release()
    throw error
  }
}

async function reload(args: string[], env: NodeJS.ProcessEnv, before: Held): Promise<void> {
  const record = new Board(before.board)
  record.add({ restartsBegun: 1 })
  try {
    const up = new Up(await loadConfiguration(args, process.cwd()), env, before)
    try {
      await up.bind()
      const own = path.join(runtimeFolder(env) ?? '', `${before.pid}`)
      const lock = before.locks.get(own)
      const { plan, fds } = up.plan(
        args,
        [before.board, ...(lock === undefined ? [] : [lock])],
        lock === undefined ? [] : [own],
      )
      for (const line of up.lines()) say(`lookout ${before.pid}`, line)
      record.write({ restart: up.summary(), restartFailed: 0 })
      await handOver(before, plan, fds)
    } catch (error) {
      up.release()
      throw error
    }
  } catch (error) {
    record.write({ restart: (error as Error).message, restartFailed: 1 })
    throw error
  } finally {
    record.add({ restartsEnded: 1 })
  }
}

/** One address of an app: sockets of ours, or such that were there before. */
interface Address {
  text: string
  url: string
  fds: number[]
  locks: number[]
}

/** The apps of a configuration on their way to be held. */
class Up {
  readonly #bound: Bound[] = []
  readonly #addresses = new Map<AppSpec, Address[]>()
  readonly #held: Map<string, number[]>
  readonly #old: Map<string, FoundApp>
  #apps: PlannedApp[] = []

  constructor(
    private readonly configuration: Configuration,
    private readonly env: NodeJS.ProcessEnv,
    private readonly before?: Held,
  ) {
    const { apps } = configuration
    if (apps.length > MOST) throw new Misuse(`cannot hold ${apps.length} apps: at most ${MOST}`)
    const programs = apps.filter(({ command }) => command).map(({ name }) => name)
    if (programs.length > 0)
      throw new Misuse(`cannot start ${programs.join(', ')}: of programs other than Node's there is no support yet`)
    this.#held = before ? addressesHeld(before) : new Map()
    this.#old = new Map(before?.apps.map(app => [app.config.name, app]))
  }

  /** Binds what is not there yet. @throws Failure, with nothing bound */
  async bind(): Promise<void> {
    for (const app of this.configuration.apps) {
      const addresses: Address[] = []
      for (const address of app.options.listen ?? [this.#own(app.name)]) {
        if (address.kind === 'name')
          throw new Misuse(`cannot listen on ${address.text}: no sockets were given (LISTEN_FDS)`)
        const fds = this.#held.get(keyOf(app.name, address.text))
        if (fds) addresses.push(this.#keep(app, address.text, fds))
        else {
          const [bound] = await bind([address], app.options)
          this.#bound.push(...bound!)
          const locks = bound!.flatMap(({ lock }) => lock ?? [])
          addresses.push({ text: address.text, url: bound![0]!.url, fds: bound!.map(({ fd }) => fd), locks })
        }
      }
      this.#addresses.set(app, addresses)
    }
  }

  /** Of an app that has no address: a unix socket in the runtime directory. */
  #own(name: string): { kind: 'unix'; text: string; path: string } {
    const folder = runtimeFolder(this.env)
    if (folder === undefined)
      throw new Failure(
        `cannot listen for ${name}: there is no runtime directory (XDG_RUNTIME_DIR), and it has no "listen"`,
      )
    const file = path.join(folder, `${name}.sock`)
    return { kind: 'unix', text: file, path: file }
  }

  /** Sockets that are there, with what may have changed about them. */
  #keep({ name, options }: AppSpec, text: string, fds: number[]): Address {
    const [family] = posix.getsockname(fds[0]!)
    for (const fd of fds) posix.listen(fd, options.backlog)
    const lock = family === posix.AF_UNIX ? this.before?.locks.get(`${text}.lock`) : undefined
    const known = [...this.#old.values()].find(
      ({ config }) => config.listen?.includes(text) && keyOf(config.name, text) === keyOf(name, text),
    )
    const url = known?.config.urls?.[known.config.listen!.indexOf(text)] ?? text
    return { text, url, fds, locks: lock === undefined ? [] : [lock] }
  }

  /** What the resting program is to be; `fds` become its 3 and up. */
  plan(args: string[], kept: number[], files: string[]): { plan: Plan; fds: number[] } {
    const slots = this.#slots(kept[0]!)
    this.#apps = this.configuration.apps.map(app => this.#planned(app, slots.get(app.name)!))
    const addresses = [...this.#addresses.values()].flat()
    const below = [...kept, ...addresses.flatMap(({ locks }) => locks)]
    const plan = {
      ready: `${this.#apps.length} app${this.#apps.length === 1 ? '' : 's'} ${this.before ? 'held' : 'at rest'}`,
      quiet: false,
      first: STANDARD.length + below.length,
      board: STANDARD.length,
      files,
      reload: [process.execPath, path.join(__dirname, '../../../bin/lookout'), 'up', ...args],
      apps: this.#apps,
    }
    return { plan, fds: [...below, ...addresses.flatMap(({ fds }) => fds)] }
  }

  /** A slot of the board for each app: that which it had, or one that nobody has, nor had a moment ago. */
  #slots(board: number): Map<string, number> {
    const taken = new Set([...this.#old.values()].map(({ config }) => config.slot ?? 0))
    let free = 1
    return new Map(
      this.configuration.apps.map(({ name }) => {
        const old = this.#old.get(name)?.config.slot
        if (old !== undefined) return [name, old]
        while (taken.has(free)) free++
        taken.add(free)
        new Board(board, free).clear()
        return [name, free]
      }),
    )
  }

  #planned(app: AppSpec, slot: number): PlannedApp {
    const { name, args, cwd, node, options } = app
    const addresses = this.#addresses.get(app)!
    const { listen, backlog, deferAccept, socketMode, pidFile, ...rest } = options
    const config: AppConfig = {
      ...rest,
      name,
      script: resolveScript(app.app!),
      slot,
      listen: addresses.map(({ text }) => text),
      urls: addresses.map(({ url }) => url),
    }
    const env = environmentOf(app.env)
    const planned = { config, worker: workerArgv(config.script, args, node), folder: cwd, log: '', env }
    const version = createHash('sha1').update(JSON.stringify(planned)).digest('base64url').slice(0, 12)
    return { ...planned, version, groups: addresses.map(({ fds }) => fds.length) }
  }

  /** What a person wants to know of it: where the apps are, or what has changed. */
  lines(): string[] {
    const told = this.#apps.map(({ config: { name, urls }, version }) => {
      const old = this.#old.get(name)
      if (!this.before) return `${name} rests at ${urls!.join(', ')}`
      if (!old) return `${name} is new, at ${urls!.join(', ')}`
      return old.version === version ? '' : `${name} has changed`
    })
    return [...told, ...this.#gone().map(name => `${name} is gone`)].filter(Boolean)
  }

  #gone(): string[] {
    const names = new Set(this.#apps.map(({ config }) => config.name))
    return [...this.#old.keys()].filter(name => !names.has(name))
  }

  /** The same in a line, for `lookout reload`. */
  summary(): string {
    const fresh = this.#apps.filter(({ config }) => !this.#old.has(config.name)).length
    const changed = this.#apps.filter(
      ({ config: { name }, version }) => (this.#old.get(name)?.version ?? version) !== version,
    ).length
    return `reloaded: ${this.#apps.length} apps, ${fresh} new, ${changed} changed, ${this.#gone().length} gone`
  }

  release(): void {
    release(this.#bound)
  }
}

/** NODE_OPTIONS is the app's alone, and what lookout's processes tell each other is nobody's. */
function environmentOf(env: Record<string, string>): Record<string, string> {
  const { NODE_OPTIONS, ...rest } = env
  for (const name of INTERNAL) delete rest[name]
  return NODE_OPTIONS === undefined ? rest : { ...rest, LOOKOUT_NODE_OPTIONS: NODE_OPTIONS }
}
