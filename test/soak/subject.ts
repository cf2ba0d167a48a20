/** A lookout that is soaked: one app, or several by `up`. It is started anew as often as it is ended; its model and clients stay. */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Folder, ports } from '../support/folder.js'
import { connections, inodesOf } from '../support/kernel.js'
import { childrenOf, isAlive, Lookout, until } from '../support/lookout.js'
import { APP, BROKEN } from './app.js'
import { Clients, type Tally, Violation } from './clients.js'
import type { Target } from './conversation.js'
import { Model } from './model.js'
import type { Random } from './random.js'

/** ms of --idle. */
export const IDLE = 700

/** ms that what was killed may take to be gone. */
const GONE = 2000

export interface App {
  name: string
  workers: number
  /** Missing: by its name alone. */
  port?: number
  /** What it says, as the configuration has it. */
  says: number
}

/** What each has to tell of itself to the others. */
export interface Telling {
  /** Says what is being done. */
  note(text: string): void
  blame(violation: Violation): void
  tally: Tally
}

export class Subject {
  lookout!: Lookout
  readonly model = new Model()
  readonly clients: Clients[]
  /** Whether the app's file is one that fails, by name. */
  readonly broken = new Set<string>()
  /** Grows with each thing after which a command may fail. */
  disturbances = 0
  wakes = 0
  /** Those that are stopped by SIGSTOP, for a moment. */
  readonly frozen = new Set<number>()
  /** The apps of masters by pid, as lookout said. */
  readonly masters = new Map<number, string>()
  /** Workers that listen, and their masters. */
  readonly #ready = new Map<number, number>()
  /** How many workers were killed, by master. */
  readonly #kills = new Map<number, number>()
  /** What it, and those before it, said last. */
  readonly said: string[] = []
  readonly statsFile: string
  readonly temporary: string
  hasExtra = false
  /** Its configuration cannot be read. */
  isWrong = false

  private constructor(
    readonly kind: 'one' | 'up',
    readonly folder: Folder,
    readonly apps: App[],
    readonly random: Random,
    readonly telling: Telling,
  ) {
    this.statsFile = path.join(folder.path, 'stats.json')
    this.temporary = path.join(folder.path, 'tmp')
    fs.mkdirSync(this.temporary)
    for (const app of apps) {
      this.write(app.name, APP)
      this.model.says(app.name, this.saying(app))
    }
    this.clients = this.#targets().map(
      target =>
        new Clients(target, random.fork(), this.model, telling.tally, violation =>
          telling.blame(new Violation(`${violation.message}\n${this.tail()}`)),
        ),
    )
  }

  static async make(kind: 'one' | 'up', random: Random, telling: Telling): Promise<Subject> {
    const folder = await Folder.make()
    const [one, two] = await ports(2)
    const apps =
      kind === 'one'
        ? [{ name: 'one', port: one!, workers: random.between(2, 4), says: 0 }]
        : [
            { name: 'shop', port: one!, workers: 2, says: 0 },
            { name: 'blog', port: two!, workers: 1, says: 0 },
            { name: 'news', workers: 2, says: 0 },
          ]
    return new Subject(kind, folder, apps, random, telling)
  }

  #targets(): Target[] {
    const { gateway } = this.folder
    return this.apps.flatMap(({ name, port }) => [
      ...(port === undefined ? [] : [{ app: name, port }]),
      ...(this.kind === 'up' ? [{ app: name, port: gateway, host: `${name}.localhost` }] : []),
    ])
  }

  /** At which clients ask. */
  get #ports(): number[] {
    const own = this.apps.flatMap(({ port }) => port ?? [])
    return this.kind === 'up' ? [...own, this.folder.gateway] : own
  }

  saying({ name, says }: App): string {
    return `${name}-${says}`
  }

  tail(): string {
    const { pid } = this.lookout
    return `what ${this.kind} (pid ${pid}) said last:\n${this.said.slice(-40).join('\n')}`
  }

  // ---- The app and its configuration ----

  /** Whole at any time. */
  write(name: string, source: string): void {
    const file = path.join(this.folder.path, `${name}.js`)
    fs.writeFileSync(`${file}.new`, source)
    fs.renameSync(`${file}.new`, file)
  }

  break(name: string): void {
    this.disturbances++
    this.broken.add(name)
    this.model.broken(name)
    this.write(name, BROKEN)
  }

  mend(name: string): void {
    this.disturbances++
    this.write(name, APP)
    this.model.mended(name)
    this.broken.delete(name)
  }

  configure(): void {
    const entry = (app: App) => ({
      script: `${app.name}.js`,
      args: [app.name],
      env: { SAYS: this.saying(app) },
      workers: app.workers,
      ...(app.port !== undefined && { listen: app.port }),
    })
    const apps = Object.fromEntries(this.apps.map(app => [app.name, entry(app)]))
    const extra = this.hasExtra && { extra: { script: 'shop.js', listen: './extra.sock' } }
    this.folder.configure({ ...apps, ...extra }, { defaults: { idle: `${IDLE}ms`, grace: '10s' } })
  }

  /** How many apps lookout keeps a handing socket for. */
  get handed(): string[] {
    return this.kind === 'one' ? [] : [...this.apps.map(({ name }) => name), ...(this.hasExtra ? ['extra'] : [])]
  }

  // ---- Its life ----

  async start(): Promise<void> {
    const env = { ...this.folder.env, TMPDIR: this.temporary }
    if (this.kind === 'up') {
      this.configure()
      this.lookout = Lookout.spawn(['up'], { cwd: this.folder.path, env })
    } else {
      const [{ name, port, workers }] = this.apps as [App]
      const options = ['--idle', `${IDLE}ms`, '--grace', '10s', '--name', name, '--stats-file', this.statsFile]
      const place = ['-l', `localhost:${port}`, '-w', `${workers}`, path.join(this.folder.path, 'one.js'), name]
      this.lookout = Lookout.spawn([...options, ...place], { env: { ...env, SAYS: this.saying(this.apps[0]!) } })
    }
    this.#listen(this.lookout)
    await this.lookout.line(this.kind === 'up' ? /^lookout \d+: \d+ apps? at rest$/m : / rests at /)
    for (const { name } of this.apps) this.model.settled(name)
  }

  #listen({ child }: Lookout): void {
    let rest = ''
    child.stderr!.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#heard(line)
    })
  }

  #heard(line: string): void {
    const { said } = this
    if (said.push(line) > 400) said.splice(0, 200)
    const [, app, woken] = /^lookout \d+: wakes (\S+): master (\d+)$/.exec(line) ?? []
    if (app !== undefined) {
      this.wakes++
      this.masters.set(Number(woken), app)
      this.#forget(Number(woken))
    }
    const [, master, why] = /^master (\d+): ends: (.*)$/.exec(line) ?? []
    if (master !== undefined) {
      this.model.ends.push({
        master: Number(master),
        app: this.masters.get(Number(master)) ?? '',
        at: performance.now(),
        why: why!,
      })
    }
    const [, parent, ready] = /^master (\d+): worker \d+ pid (\d+) ready/.exec(line) ?? []
    if (ready !== undefined) this.#ready.set(Number(ready), Number(parent))
    if (/^ +at .*(dist\/(boot|lib)|bin\/lookout)/.test(line) || /assert/i.test(line)) {
      this.telling.blame(new Violation(`it said what it never should: ${line}\n${this.tail()}`))
    }
  }

  /** Another had that pid, long ago. */
  #forget(master: number): void {
    this.model.forgetMaster(master)
    this.#kills.delete(master)
    for (const [worker, parent] of this.#ready) if (parent === master) this.#ready.delete(worker)
  }

  /** Masters that live, by /proc. */
  get awake(): number[] {
    return childrenOf(this.lookout.pid).filter(pid => this.masters.has(pid))
  }

  /** Everybody below lookout. */
  get tree(): number[] {
    const masters = childrenOf(this.lookout.pid)
    return [...masters, ...masters.flatMap(master => childrenOf(master))]
  }

  /** Whoever is stopped goes on. */
  thaw(): void {
    for (const pid of this.frozen) if (isAlive(pid)) process.kill(pid, 'SIGCONT')
    this.frozen.clear()
  }

  // ---- Killing ----

  /** What they have then is known, and nothing comes to it. */
  async #freeze(pids: number[]): Promise<void> {
    for (const pid of pids) {
      this.frozen.delete(pid) // it goes on no more
      if (isAlive(pid)) process.kill(pid, 'SIGSTOP')
    }
    const isStill = (pid: number) => !isAlive(pid) || / T /.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))
    await until('stopped', () => pids.every(isStill))
  }

  /** Clients' ports of the connections that these have. */
  portsOf(pids: number[]): number[] {
    const inodes = new Set(pids.flatMap(inodesOf))
    return connections(this.#ports)
      .filter(({ inode }) => inodes.has(inode))
      .map(({ client }) => client)
  }

  /** Of those that are between the gateway and an app: the kernel has them, in a message. */
  #portsInTransit(): number[] {
    if (this.kind === 'one') return []
    const all = new Set([this.lookout.pid, ...this.tree].flatMap(inodesOf))
    return connections([this.folder.gateway])
      .filter(({ inode }) => inode !== 0 && !all.has(inode))
      .map(({ client }) => client)
  }

  async killWorker(): Promise<string> {
    const master = this.random.pick(this.awake)
    const victim = master === undefined ? undefined : this.random.pick(childrenOf(master))
    if (master === undefined || victim === undefined) return 'nobody'
    await this.#freeze([victim])
    if (!isAlive(victim)) return 'nobody any more'
    const app = this.masters.get(master)!
    this.disturbances++
    const kills = (this.#kills.get(master) ?? 0) + 1
    this.#kills.set(master, kills)
    if (kills > 1 || this.#ready.get(victim) !== master) this.#mayFail(app)
    this.model.killed([...this.portsOf([victim]), ...this.#portsInTransit()])
    process.kill(victim, 'SIGKILL')
    return `${victim} of ${app}`
  }

  async killMaster(): Promise<string> {
    const master = this.random.pick(this.awake)
    if (master === undefined) return 'nobody'
    await this.#freeze(childrenOf(master))
    await this.#freeze([master])
    const workers = childrenOf(master)
    await this.#freeze(workers)
    if (!isAlive(master)) return 'nobody any more'
    this.disturbances++
    this.model.killed([...this.portsOf([master, ...workers]), ...this.#portsInTransit()])
    this.telling.note(`${this.kind}: kills ${master}, and with it ${workers.join(' ')}`)
    process.kill(master, 'SIGKILL')
    await this.#gone([master, ...workers], 'its master was killed')
    return `${master} of ${this.masters.get(master)}`
  }

  /** A worker that booted was killed, or a second one: there is a back-off. The gateway's is everybody's. */
  #mayFail(app: string): void {
    for (const name of app === 'lookout' ? this.apps.map(({ name }) => name) : [app]) {
      this.model.broken(name)
      if (!this.broken.has(name)) this.model.mended(name)
    }
  }

  async #gone(pids: number[], why: string): Promise<void> {
    await until('gone', () => !pids.some(isAlive), GONE).catch(() => {
      const left = pids.filter(isAlive).join(' ')
      throw new Violation(`alive ${GONE} ms after ${why}: ${left}\n${this.tail()}`)
    })
  }

  async killLookout(): Promise<void> {
    this.disturbances++
    this.thaw()
    const { tree } = this
    this.model.down()
    this.lookout.signal('SIGKILL')
    await this.lookout.ended
    await this.#gone(tree, 'lookout was killed')
    await sleep(this.random.between(0, 300))
    await this.start()
    this.model.up()
    this.disturbances++
  }

  /** Ends in order: what was begun is finished. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.disturbances++
    this.thaw()
    const { tree } = this
    this.model.down(this.#portsKept())
    this.lookout.signal(signal)
    const { code, signal: by } = await this.lookout.ended
    if (code !== 0) throw new Violation(`${signal}: it ended with ${code ?? by}\n${this.tail()}`)
    await this.#gone(tree, 'lookout has ended')
  }

  /** Clients' ports of what the apps have; what the gateway has may come too late to an app that rests. */
  #portsKept(): number[] {
    return this.portsOf(
      this.awake.filter(pid => this.masters.get(pid) !== 'lookout').flatMap(pid => [pid, ...childrenOf(pid)]),
    )
  }

  async again(): Promise<void> {
    await sleep(this.random.between(0, 200))
    await this.start()
    this.model.up()
    this.disturbances++
  }
}
