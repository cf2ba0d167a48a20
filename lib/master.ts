/**
 * The master: woken by the first connection, beside worker 0, which is its child already. It keeps the wanted workers
 * running, stands in for an app that fails, rests when the app is idle: drains, and exits 0.
 *
 * fleet.ts knows the workers, rest.ts when to rest; what happens comes in here as an event and is acted on.
 */
import fs from 'node:fs'
import { duration, now } from './clock.js'
import { type AppConfig, inherited } from './config.js'
import { Fleet } from './fleet.js'
import { say, tracer } from './log.js'
import { Control, posix } from './posix.js'
import { Rest } from './rest.js'
import { type Inherited, inherit, scrub } from './sockets.js'
import type { StandIn } from './stand-in.js'
import type { WorkerEvent } from './worker-handle.js'

const trace = tracer('master')

/** ms of drain when lookout itself is gone: nothing outlives it by more than a second. */
const ORPHAN_GRACE = 500

class Master {
  readonly #config: AppConfig
  readonly #sockets: Inherited
  readonly #fleet: Fleet
  readonly #rest: Rest
  #ending = false
  #orphaned = false
  #standIn: StandIn | undefined
  #watcher: { add(files: string[]): void } | undefined

  constructor(config: AppConfig, env: NodeJS.ProcessEnv) {
    this.#config = config
    this.#sockets = inherit(env)
    this.#fleet = new Fleet(config, this.#sockets, { ...env }, event => this.#on(event))
    this.#rest = new Rest(config.idle, this.#sockets.groups, {
      workers: () => this.#fleet.all,
      quieted: () => this.#standIn?.stop(),
      resumed: () => this.#reconcile(),
      idle: () => this.#end(`idle ${duration(config.idle)}`),
    })
    scrub(env)
  }

  run(): void {
    process.title = `lookout master ${this.#config.name}`
    this.#holdLifeline()
    process.on('SIGTERM', () => this.#end('stopped', { final: true }))
    process.on('SIGINT', () => this.#end('stopped', { final: true }))
    process.on('SIGQUIT', () => process.exit(1)) // the kernel kills the workers with us
    this.#rest.arm()
  }

  #say(text: string): void {
    if (!this.#config.quiet) say(`master ${process.pid}`, text)
  }

  /**
   * lookout asks for the end by a byte in a pipe, not by a signal: one that came before there is a handler would kill us. The
   * end of file alone is its death.
   */
  #holdLifeline(): void {
    const { lifeline } = this.#sockets
    posix.cloexec(lifeline, 1)
    const watch = posix.poll(lifeline, () => {
      posix.control(watch, Control.close)
      this.#orphaned = fs.readSync(lifeline, Buffer.alloc(1)) === 0
      this.#end(this.#orphaned ? 'lookout is gone' : 'stopped', { final: true })
    })
    posix.control(watch, Control.start)
  }

  #on(event: WorkerEvent): void {
    const { worker } = event
    trace('%s %s', worker.identity, event.type)
    switch (event.type) {
      case 'ready':
        this.#say(`${worker.identity} ready in ${duration(now() - worker.startedAt)}`)
        this.#rest.touch()
        this.#retireStandIn()
        return this.#reconcile()
      case 'late':
        worker.fault ??= { message: `It did not listen within ${duration(this.#config.bootTimeout)}.` }
        return worker.kill()
      case 'loaded':
        return this.#loaded(event.files)
      case 'quieted':
        return this.#rest.answered(worker, event.active, event.why)
      case 'ended':
        this.#fleet.remove(worker)
        if (this.#ending) return this.#leave()
        this.#fleet.lost(worker, event.ending)
        this.#rest.answered(worker)
        return this.#reconcile()
    }
  }

  /** Compares what is wanted with what runs. While nothing works, the next try waits for somebody to ask. */
  #reconcile(): void {
    if (this.#ending || this.#rest.isLooking) return
    const { wait, isReady } = this.#fleet
    if (wait === 0) this.#fleet.fill()
    else if (isReady) setTimeout(() => this.#reconcile(), wait).unref()
    if (this.#fleet.all.length === 0) this.#standInForApp()
  }

  // ---- An app that fails ----

  #standInForApp(): void {
    if (this.#standIn) return this.#standIn.start()
    const { StandIn } = require('./stand-in.js') as typeof import('./stand-in.js')
    this.#standIn = new StandIn(this.#sockets.groups, {
      admit: () => !this.#tryAgain(),
      failing: () => {
        this.#rest.touch()
        return this.#fleet.failing
      },
    })
  }

  /** Somebody connects: another try, when it is due, for which the connection waits in the queue. */
  #tryAgain(): boolean {
    if (this.#ending || !this.#fleet.mayRetry()) return false
    this.#standIn?.stop()
    this.#rest.touch()
    this.#reconcile()
    return true
  }

  #retireStandIn(): void {
    const standIn = this.#standIn
    this.#standIn = undefined
    standIn?.stop()
    void standIn?.close()
  }

  #loaded(files: string[]): void {
    this.#fleet.note(files)
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
    if (this.#ending) return
    this.#ending = true
    this.#rest.end()
    this.#say(`ends: ${reason}`)
    const grace = this.#orphaned ? Math.min(ORPHAN_GRACE, this.#config.grace) : this.#config.grace
    for (const worker of this.#fleet.all) worker.stop({ grace, final, cut })
    this.#standIn?.stop()
    if (final) for (const { fds } of this.#sockets.groups) for (const fd of fds) posix.close(fd)
    if (this.#orphaned) setTimeout(() => this.#leaveNobody(), ORPHAN_GRACE + 100)
    void this.#standIn?.close().then(() => {
      this.#standIn = undefined
      this.#leave()
    })
    this.#leave()
  }

  #leave(): void {
    if (this.#fleet.all.length > 0 || this.#standIn) return
    if (this.#orphaned) this.#leaveNobody()
    process.exit(0)
  }

  /** Our group, ourselves included: lookout would have buried what the app has left. */
  #leaveNobody(): void {
    process.kill(-process.pid, 'SIGKILL')
  }
}

const config = inherited(process.env)
if (config) new Master(config, process.env).run()
