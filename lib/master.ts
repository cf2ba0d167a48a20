/**
 * The master: woken by the first connection, beside worker 0, which is its child already. It keeps the wanted workers
 * running, stands in for an app that fails, rests when the app is idle: drains, and exits 0.
 *
 * pool.ts keeps the workers, rest.ts knows when to rest. What happens comes in here as an event, a worker's or a signal to
 * lookout, and is acted on.
 */
import { Board } from './board.js'
import { duration, now } from './clock.js'
import { type AppConfig, inherited } from './config.js'
import { FailingApp } from './failing-app.js'
import { PATIENCE } from './fleet.js'
import { hooksOf } from './hooks.js'
import { awakeUntil } from './hours.js'
import { tracer } from './log.js'
import { divert, putAway } from './log-file.js'
import { Pool } from './pool.js'
import { posix } from './posix.js'
import { Rest } from './rest.js'
import { Service } from './service.js'
import { hear, hold, Signal } from './signals.js'
import { doorsOf, type Inherited, inherit, scrub, urlOf } from './sockets.js'
import { Tenure } from './tenure.js'
import type { WorkerEvent } from './worker-handle.js'

const trace = tracer('master')

/** ms of drain when lookout itself is gone: nothing outlives it by more than a second. */
const ORPHAN_GRACE = 500

/** ms after the start for which supervision can wait: nothing is to come between a wake and its answer. */
const LATER = 500

class Master {
  readonly #config: AppConfig
  readonly #sockets: Inherited
  readonly #board: Board
  readonly #pool: Pool
  readonly #rest: Rest
  readonly #failingApp: FailingApp
  readonly #service: Service
  readonly #tenure: Tenure
  #reason = ''
  #final = false
  #orphaned = false
  /** Another master takes its place. */
  #isReplaced = false
  #watcher: { add(files: string[]): void } | undefined

  constructor(config: AppConfig, env: NodeJS.ProcessEnv) {
    // Nobody of that user, as the app is, may look into what we have: the board is not the app's, which waits for this.
    if (config.user !== undefined) posix.prctl(posix.PR_SET_DUMPABLE, 0)
    // Who stops at a breakpoint does not hang.
    const isDebugged = env.LOOKOUT_NODE_OPTIONS?.includes('--inspect')
    this.#config = isDebugged ? { ...config, watchdog: 0 } : config
    this.#sockets = inherit(env)
    const { board, groups, slot, channel } = this.#sockets
    this.#board = new Board(board, config.slot)
    const argv = process.argv.slice(2) // ours ends with that of worker 0
    const launch = { argv, env: { ...env }, groups, stdin: 0, apart: false }
    const hooks = {
      on: (event: WorkerEvent) => this.#on(event),
      isHeld: () => this.#rest.isLooking,
      failing: () => this.#fails(),
      prospect: () => this.#rest.prospect,
      told: (status: string) => this.#service.status(status),
    }
    this.#pool = new Pool(this.#config, launch, this.#board, hooks, hooksOf(config.hooks))
    this.#rest = new Rest(config.idle, groups, {
      workers: () => this.#pool.fleet.all,
      quieted: () => this.#failingApp.pause(),
      resumed: () => this.#pool.reconcile(),
      idle: () => this.#end(`idle ${duration(config.idle)}`),
      awakeUntil: () => config.keepAwake && awakeUntil(config.keepAwake, new Date()),
    })
    this.#failingApp = new FailingApp(groups, config.hosts, {
      tries: () => this.#tryAgain(),
      failing: () => {
        this.#rest.touch()
        return this.#pool.fleet.failing
      },
    })
    this.#service = new Service(env, limit => this.#isHealthy(limit))
    const woken = Number(env.LOOKOUT_WOKEN)
    this.#tenure = new Tenure(this.#board, woken)
    this.#pool.fleet.adopt(Number(env.LOOKOUT_WORKER_PID), channel, slot, woken)
    scrub(env)
  }

  run(): void {
    process.title = `lookout master ${this.#config.name}`
    if (this.#config.log !== undefined) divert(this.#config.log)
    trace('keeps %o of %s', this.#config.workers, this.#config.script)
    const { board, lifeline, groups } = this.#sockets
    posix.cloexec(board, 1)
    const obey = (signal: Signal) => this.#obey(signal)
    hear(obey)
    if (this.#config.given) {
      this.#pool.say(`wakes ${this.#config.name} at ${groups.map(urlOf).join(', ')}`)
    } else hold(lifeline, obey, () => this.#orphan())
    this.#rest.arm()
    setTimeout(() => {
      this.#tenure.begin()
      this.#pool.supervise()
    }, LATER).unref()
  }

  #orphan(): void {
    this.#orphaned = true
    this.#end('lookout is gone', { final: true })
  }

  #obey(signal: Signal): void {
    trace('signal %d', signal)
    const { fleet } = this.#pool
    switch (signal) {
      case Signal.TERM:
        return this.#end('stopped', { final: true })
      case Signal.USR1:
        this.#tenure.begin()
        return this.#pool.sayStats()
      case Signal.HUP:
        return this.#makeWay()
      case Signal.USR2:
        return this.#restart()
      case Signal.TTIN:
        return this.#pool.want(fleet.wanted + 1)
      case Signal.TTOU:
        return this.#pool.want(fleet.wanted - 1)
      case Signal.TSTP:
        this.#pool.say('is quiet: connections wait')
        return this.#rest.hold()
      case Signal.CONT:
        this.#pool.say('goes on')
        return this.#rest.release()
    }
  }

  /** Another takes our place. */
  #makeWay(): void {
    if (this.#pool.isEnding) return
    this.#tenure.handOn(this.#pool.fleet.all.reduce((sum, { stats }) => sum + stats.requests, 0))
    this.#isReplaced = true
    this.#end('its configuration has changed')
  }

  #restart(): void {
    this.#tenure.begin()
    this.#rest.touch()
    this.#service.reloading()
    this.#pool.restart.begin((_, text) => this.#service.ready(text))
    this.#pool.reconcile()
  }

  /** Whether the watchdog of a service manager is to leave us alone: ours has every chance first. */
  #isHealthy(limit: number): boolean {
    const patience = Math.max(limit, 2 * this.#config.watchdog)
    const ready = this.#pool.fleet.active.filter(({ state }) => state === 'ready')
    return ready.length === 0 || ready.some(({ stats }) => now() - stats.lastCheckin < patience)
  }

  #on(event: WorkerEvent): void {
    const { worker } = event
    switch (event.type) {
      case 'started':
      case 'late':
      case 'detached':
        return
      case 'ready':
        this.#rest.touch()
        this.#rest.joined(worker)
        this.#service.ready('serves')
        return this.#failingApp.recover()
      case 'answered':
        return this.#tenure.answered(event.at)
      case 'loaded':
        return this.#loaded(event.files)
      case 'quieted':
        return this.#rest.answered(worker, event.active, event.why)
      case 'ended':
        return this.#pool.isEnding ? this.#leave() : this.#rest.answered(worker)
    }
  }

  #fails(): void {
    this.#service.ready(`fails: ${this.#board.read().bootError}`)
    this.#failingApp.answer()
  }

  /** Another try, when it is due. */
  #tryAgain(): boolean {
    if (this.#pool.isEnding || !this.#pool.fleet.mayRetry()) return false
    this.#failingApp.pause()
    this.#rest.touch()
    this.#pool.reconcile()
    return true
  }

  #loaded(files: string[]): void {
    this.#pool.fleet.note(files)
    if (!this.#config.watch) return
    if (this.#watcher) return this.#watcher.add(files)
    const { watch } = require('./watch.js') as typeof import('./watch.js')
    this.#watcher = watch([this.#config.script, ...files], file => this.#end(`${file} changed`, { cut: true }))
  }

  // ---- The end ----

  /**
   * Drains and exits. `final`: lookout wants it, or is gone: everyone's sockets are closed. Otherwise it keeps them, and who
   * connects meanwhile waits for the next master. `cut` ends what may never end by itself.
   */
  #end(reason: string, { final = false, cut = false } = {}): void {
    if (this.#pool.isEnding) return
    this.#reason = reason
    this.#final = final
    this.#rest.end()
    this.#pool.say(`ends: ${reason}`)
    const grace = this.#orphaned ? Math.min(ORPHAN_GRACE, this.#config.grace) : this.#config.grace
    // Another may be started at once (systemctl restart), which is to be no loss to anybody.
    const patience = (final && this.#config.given) || this.#isReplaced ? PATIENCE : 0
    this.#pool.end({ grace, patience, final, cut })
    this.#service.stopping(grace, reason)
    this.#failingApp.end(() => this.#leave())
    if (final || this.#isReplaced)
      for (const group of this.#sockets.groups) for (const fd of doorsOf(group)) posix.close(fd)
    if (this.#orphaned) setTimeout(() => this.#leaveNobody(), ORPHAN_GRACE + 100)
    this.#leave()
  }

  #leave(): void {
    if (this.#pool.fleet.all.length > 0 || this.#failingApp.isAnswered) return
    if (this.#orphaned) this.#leaveNobody()
    this.#tenure.end(this.#reason)
    if (this.#config.log !== undefined && !this.#isReplaced) putAway(this.#config.log)
    if (this.#config.statsFile !== undefined && !this.#isReplaced) this.#pool.supervise().leaveStats(this.#final)
    process.exit(0)
  }

  /** Our group, ourselves included: lookout would have buried what the app has left. */
  #leaveNobody(): void {
    process.kill(-process.pid, 'SIGKILL')
  }
}

const config = inherited(process.env)
if (config) new Master(config, process.env).run()
