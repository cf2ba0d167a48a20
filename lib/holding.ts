/**
 * The apps of a configuration, made into what a resting program holds: sockets, of which some may be there already, and a plan.
 * Each app, but the gateway, has one socket more, on which the gateway hands it connections; `lookout wake` knocks there, too.
 */
import { createHash } from 'node:crypto'
import { type Address, parseAddress } from './address.js'
import { Board } from './board.js'
import { type AppConfig, GATEWAY, INTERNAL } from './config.js'
import type { AppSpec, Configuration } from './configuration.js'
import { Failure, Misuse } from './errors.js'
import { type Told, told } from './gateway-known.js'
import { changes, places, summary } from './holding-report.js'
import { checkLog } from './log-file.js'
import type { Options } from './option-table.js'
import { addressesOf, optionsOf } from './options.js'
import { type Place, Places } from './places.js'
import { boot, type FoundApp, type Plan, type PlannedApp, workerArgv } from './plan.js'
import { posix } from './posix.js'
import type { Held } from './reload.js'
import { resolveScript } from './script.js'
import { plural } from './text.js'
import { type User, userEnvironment, userOf, userWord, warning } from './user.js'

/** Apps for which there is room on the board; the first slot is lookout's own, the last may be the gateway's. */
export const MOST = 1000

/** Where an app is that has no address: any free port, of this machine alone. */
const ANYWHERE = 'localhost:0'

/** Descriptors below the kept ones: standard input, output and error. */
const STANDARD = 3

/** An app with its sockets. */
interface Member {
  spec: AppSpec
  user: User | undefined
  places: Place[]
  /** Addresses of its that the gateway has, which looks at each request first. */
  guarded: Place[]
  /** Where a client finds it. */
  urls: string[]
  handoff?: { fd: number; path: string }
}

export class Holding {
  readonly #members: Member[] = []
  readonly #places: Places
  readonly #old: Map<string, FoundApp>
  #apps: PlannedApp[] = []

  /**
   * @param before what there is already; missing at the start
   * @throws Misuse for what cannot be held
   */
  constructor(
    private readonly configuration: Configuration,
    env: NodeJS.ProcessEnv,
    private readonly before?: Held,
  ) {
    const { apps } = configuration
    if (apps.length > MOST) throw new Misuse(`cannot hold ${apps.length} apps: at most ${MOST}`)
    const mute = apps.find(({ command, options }) => command && !options.listen)
    if (mute)
      throw new Misuse(`cannot hold ${mute.name}: a command is reached by its addresses alone, and it has no "listen"`)
    this.#places = new Places(env, before)
    this.#old = new Map(before?.apps.map(app => [app.config.name, app]))
  }

  /** Binds what is not there yet. @throws Failure; then release() */
  async bind(): Promise<void> {
    const { apps, gateway, metrics } = this.configuration
    const own = gatewayAt(gateway, metrics)
    for (const spec of [...apps, own]) await this.#places.take(spec)
    for (const spec of apps) {
      const user = userOf(spec.options)
      if (spec.options.log !== undefined) checkLog(spec.options.log, user)
      const member = await this.#member(spec, user)
      this.#members.push(member)
      const handoff = spec.command ? undefined : this.#places.handoff(spec.name) // a program could not be handed anything
      if (handoff) member.handoff = handoff
      else if ((gateway !== false || spec.rules) && !spec.command)
        throw new Failure('cannot have a gateway: there is no runtime directory (XDG_RUNTIME_DIR)')
    }
    const guarded = this.#members.flatMap(member => member.guarded)
    if (gateway === false && metrics === undefined && guarded.length === 0) return
    const places = await this.#places.of(own, addressesOf(own.options, {}))
    this.#members.push({
      spec: own,
      user: undefined,
      places: [...places, ...guarded],
      guarded: [],
      urls: urlsOf(places),
    })
  }

  async #member(spec: AppSpec, user: User | undefined): Promise<Member> {
    const anywhere = optionsOf({ listen: ANYWHERE }).listen!
    const at = (listen: Options['listen']) => this.#places.of(spec, addressesOf({ listen }, {}))
    const { listen } = spec.options
    const places = await at(listen && !spec.rules ? listen : anywhere)
    if (!spec.rules) return { spec, user, places, guarded: [], urls: urlsOf(places) }
    const guarded = listen ? await at(listen) : []
    return { spec, user, places, guarded, urls: urlsOf(guarded) }
  }

  /**
   * What the resting program is to be; `fds` become its 3 and up.
   * @param kept the board, and what else is to be kept open
   */
  plan(kept: number[], rest: Pick<Plan, 'files' | 'reload'>): { plan: Plan; fds: number[] } {
    const slots = this.#slots(kept[0]!)
    this.#apps = this.#members.map(member => this.#planned(member, slots.get(member.spec.name)!))
    const places = this.#members.flatMap(member => member.places)
    const below = [...kept, ...places.flatMap(({ locks }) => locks)]
    const sockets = this.#members.flatMap(({ places, handoff }) => [
      ...places.flatMap(({ fds }) => fds),
      ...(handoff ? [handoff.fd] : []),
    ])
    const count = this.configuration.apps.length
    const plan = {
      ready: `${plural(count, 'app')} ${this.before ? 'held' : 'at rest'}`,
      quiet: false,
      first: STANDARD + below.length,
      board: STANDARD,
      ...rest,
      apps: this.#apps,
    }
    return { plan, fds: [...below, ...sockets] }
  }

  /** A slot of the board for each app: that which it had, or one that nobody has, nor had a moment ago. */
  #slots(board: number): Map<string, number> {
    const taken = new Set([...this.#old.values()].map(({ config }) => config.slot ?? 0))
    let free = 1
    return new Map(
      this.#members.map(({ spec: { name } }) => {
        const old = this.#old.get(name)?.config.slot
        if (old !== undefined) return [name, old]
        while (taken.has(free)) free++
        taken.add(free)
        new Board(board, free).clear()
        return [name, free]
      }),
    )
  }

  #planned({ spec, user, places, urls, handoff }: Member, slot: number): PlannedApp {
    const { name, args, cwd, node, options } = spec
    const { listen, backlog, deferAccept, socketMode, pidFile, ...rest } = options
    const config: AppConfig = {
      ...rest,
      name,
      script: spec.command ? boot('program.js') : resolveScript(spec.app!),
      ...(spec.command && { program: true, watchdog: 0 }),
      slot,
      listen: places.map(({ text }) => text),
      urls,
      ...(handoff && { hosts: hostsOf(spec) }),
      ...spec.rules,
    }
    const env = { ...userEnvironment(user), ...environmentOf(spec.env) }
    if (name === GATEWAY) Object.assign(env, told(this.#told()))
    if (spec.command) env.LOOKOUT_COMMAND = JSON.stringify([...spec.command, ...args])
    const planned = {
      config,
      worker: workerArgv(config.script, spec.command ? [] : args, node),
      user: userWord(user),
      folder: cwd,
      env,
    }
    const version = createHash('sha1').update(JSON.stringify(planned)).digest('base64url').slice(0, 12)
    return { ...planned, version, groups: places.map(({ fds }) => fds.length), handoff: handoff !== undefined }
  }

  /** The gateway's; undefined where there is none. */
  get #port(): number | undefined {
    if (this.configuration.gateway === false) return undefined
    const gateway = this.#members.find(({ spec }) => spec.name === GATEWAY)
    return gateway && posix.getsockname(gateway.places[0]!.fds[0]!)[2]
  }

  /** What the gateway has to know. */
  #told(): Told {
    const port = this.#port
    const apps = this.#members
      .filter(({ spec }) => spec.name !== GATEWAY)
      .map(({ spec, guarded, urls, handoff }) => ({
        name: spec.name,
        hosts: hostsOf(spec),
        ...(handoff && { handoff: handoff.path }),
        urls,
        guarded: guarded.length,
        ...(spec.rules && { rules: spec.rules }),
        ...(port !== undefined && { port }),
      }))
    return { hasPort: port !== undefined, hasMetrics: this.configuration.metrics !== undefined, apps }
  }

  /** What a person wants to know of it: where the apps are, or what has changed. */
  lines(): string[] {
    const exposed = this.#members.find(({ spec }) => spec.name !== GATEWAY && warning(spec.options))
    const warns = this.before || !exposed ? [] : [warning(exposed.spec.options)!]
    const lines = this.before ? changes(this.#apps, this.#old, this.#port) : places(this.#apps, this.#port)
    return [...lines, ...warns]
  }

  /** The same in a line, for `lookout reload`. */
  summary(): string {
    return summary(this.#apps, this.#old)
  }

  /** Lets go of what was bound, where nothing comes of it. */
  release(): void {
    this.#places.release()
  }
}

function urlsOf(places: Place[]): string[] {
  return places.map(({ url }) => url)
}

function hostsOf({ name, hosts }: AppSpec): string[] {
  return [`${name}.localhost`, ...hosts]
}

/** The gateway is an app like any other, but that it is lookout's own. */
function gatewayAt(port: number | false, metrics?: Address): AppSpec {
  const listen = [...(port === false ? [] : [parseAddress(`localhost:${port}`)]), ...(metrics ? [metrics] : [])]
  const options = optionsOf({ name: GATEWAY, quiet: true })
  return {
    name: GATEWAY,
    app: boot('gateway.js'),
    args: [],
    cwd: '/',
    env: {},
    hosts: [],
    options: { ...options, listen },
  }
}

/** NODE_OPTIONS is the app's alone, and what lookout's processes tell each other is nobody's. */
function environmentOf(env: Record<string, string>): Record<string, string> {
  const { NODE_OPTIONS, ...rest } = env
  for (const name of INTERNAL) delete rest[name]
  return NODE_OPTIONS === undefined ? rest : { ...rest, LOOKOUT_NODE_OPTIONS: NODE_OPTIONS }
}
