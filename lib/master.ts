/**
 * The master: woken by the first connection, beside worker 0, which is its child already. It keeps the wanted workers
 * running, stands in for an app that fails, rests when the app is idle: drains, and exits 0.
 *
 * fleet.ts knows the workers, rest.ts when to rest, restart.ts how to replace them all; supervision.ts looks after them
 * regularly. What happens comes in here as an event, a worker's or a signal to lookout, and is acted on.
 */
import fs from 'node:fs'
import { Board } from './board.js'
import { duration, now } from './clock.js'
import { type AppConfig, inherited, MAX_WORKERS } from './config.js'
import { Fleet } from './fleet.js'
import { say, tracer } from './log.js'
import { Control, posix } from './posix.js'
import { Rest } from './rest.js'
import { Restart } from './restart.js'
import { type Inherited, inherit, scrub } from './sockets.js'
import type { StandIn } from './stand-in.js'
import type { Supervision } from './supervision.js'
import type { Ending, WorkerEvent, WorkerHandle } from './worker-handle.js'

const trace = tracer('master')

/** ms of drain when lookout itself is gone: nothing outlives it by more than a second. */
const ORPHAN_GRACE = 500

/** ms after the start for which supervision can wait: nothing is to come between a wake and its answer. */
const LATER = 500

/** The numbers by which lookout passes on what signal it got: alike on every Linux but MIPS. */
const enum Signal {
  USR1 = 10,
  USR2 = 12,
  TERM = 15,
  CONT = 18,
  TSTP = 20,
  TTIN = 21,
  TTOU = 22,
}

class Master {
  readonly #config: AppConfig
  readonly #sockets: Inherited
  readonly #board: Board
  readonly #fleet: Fleet
  readonly #rest: Rest
  readonly #restart: Restart
  #supervision: Supervision | undefined
  /** ms, monotonic: when lookout saw the first connection. */
  readonly #woken: number
  #answered = false
  #ending = false
  #reason = ''
  #final = false
  #orphaned = false
  #retry: NodeJS.Timeout | undefined
  #standIn: StandIn | undefined
  #watcher: { add(files: string[]): void } | undefined

  constructor(config: AppConfig, env: NodeJS.ProcessEnv) {
    // Who stops at a breakpoint does not hang.
    const isDebugged = env.LOOKOUT_NODE_OPTIONS?.includes('--inspect')
    this.#config = isDebugged ? { ...config, watchdog: 0 } : config
    this.#sockets = inherit(env)
    this.#board = new Board(this.#sockets.board)
    this.#fleet = new Fleet(config, this.#sockets, { ...env }, this.#board, event => this.#on(event))
    this.#restart = new Restart(this.#fleet, this.#board, text => this.#say(text))
    this.#rest = new Rest(config.idle, this.#sockets.groups, {
      workers: () => this.#fleet.all,
      quieted: () => this.#standIn?.stop(),
      resumed: () => {
        this.#restart.next()
        this.#reconcile()
      },
      idle: () => this.#end(`idle ${duration(config.idle)}`),
    })
    this.#woken = Number(env.LOOKOUT_WOKEN)
    scrub(env)
  }

  run(): void {
    process.title = `lookout master ${this.#config.name}`
    this.#holdLifeline()
    process.on('SIGTERM', () => this.#end('stopped', { final: true }))
    process.on('SIGINT', () => this.#end('stopped', { final: true }))
    process.on('SIGQUIT', () => process.exit(1)) // the kernel kills the workers with us
    this.#rest.arm()
    const { pid, wakes, failures } = this.#board.read()
    // The one before us, which did not say that it went, was killed.
    const killed = pid === 0 ? 0 : 1
    this.#board.write({
      pid: process.pid,
      wakes: wakes + 1,
      failures: failures + killed,
      changedAt: Date.now(),
      why: 'it boots',
    })
    setTimeout(() => this.#supervise(), LATER).unref()
  }

  #supervise(): Supervision {
    if (this.#supervision) return this.#supervision
    const { Supervision } = require('./supervision.js') as typeof import('./supervision.js')
    const { groups } = this.#sockets
    this.#supervision = new Supervision(this.#config, this.#fleet, this.#board, groups, {
      remaining: () => this.#rest.remaining,
      reconcile: () => this.#reconcile(),
    })
    return this.#supervision
  }

  #say(text: string): void {
    if (!this.#config.quiet) say(`master ${process.pid}`, text)
  }

  /**
   * lookout passes signals on as bytes in a pipe: one that came before there is a handler would kill us. The end of file is its
   * death.
   */
  #holdLifeline(): void {
    const { lifeline, board } = this.#sockets
    for (const fd of [lifeline, board]) posix.cloexec(fd, 1)
    const watch = posix.poll(lifeline, () => {
      const bytes = Buffer.alloc(64)
      const count = fs.readSync(lifeline, bytes)
      for (const signal of bytes.subarray(0, count)) this.#obey(signal)
      if (count > 0) return
      posix.control(watch, Control.close)
      this.#orphaned = true
      this.#end('lookout is gone', { final: true })
    })
    posix.control(watch, Control.start)
  }

  #obey(signal: Signal): void {
    trace('signal %d', signal)
    switch (signal) {
      case Signal.TERM:
        return this.#end('stopped', { final: true })
      case Signal.USR1:
        return say(`master ${process.pid}`, JSON.stringify(this.#supervise().stats))
      case Signal.USR2:
        this.#rest.touch()
        this.#restart.begin()
        return this.#reconcile()
      case Signal.TTIN:
        return this.#want(this.#fleet.wanted + 1)
      case Signal.TTOU:
        return this.#want(this.#fleet.wanted - 1)
      case Signal.TSTP:
        this.#say('is quiet: connections wait')
        return this.#rest.hold()
      case Signal.CONT:
        this.#say('goes on')
        return this.#rest.release()
    }
  }

  /** One worker more or fewer; the youngest goes. */
  #want(count: number): void {
    const { active } = this.#fleet
    this.#fleet.wanted = Math.min(MAX_WORKERS, Math.max(1, count))
    const youngest = active.filter(({ replaces }) => !replaces).sort((a, b) => b.startedAt - a.startedAt)
    for (const worker of youngest.slice(0, Math.max(0, active.length - this.#fleet.wanted))) {
      this.#fleet.retire(worker, 'one worker fewer is wanted')
    }
    this.#say(`wants ${this.#fleet.wanted} worker${this.#fleet.wanted === 1 ? '' : 's'}`)
    this.#reconcile()
  }

  #on(event: WorkerEvent): void {
    const { worker } = event
    trace('%s %s', worker.identity, event.type)
    switch (event.type) {
      case 'ready':
        this.#say(`${worker.identity} ready in ${duration(now() - worker.startedAt)}`)
        this.#rest.touch()
        this.#rest.joined(worker)
        this.#retireStandIn()
        if (worker.replaces) this.#fleet.retire(worker.replaces, `${worker.identity} takes its place`)
        this.#restart.ready(worker)
        return this.#reconcile()
      case 'answered':
        if (!this.#answered) this.#board.write({ latency: event.at - this.#woken })
        this.#answered = true
        return
      case 'late':
        worker.fault ??= { message: `It did not listen within ${duration(this.#config.bootTimeout)}.` }
        return worker.terminate()
      case 'loaded':
        return this.#loaded(event.files)
      case 'quieted':
        return this.#rest.answered(worker, event.active, event.why)
      case 'ended':
        this.#fleet.remove(worker)
        if (this.#ending) return this.#leave()
        if (!event.asked) this.#lost(worker, event.ending)
        this.#rest.answered(worker)
        return this.#reconcile()
    }
  }

  #lost(worker: WorkerHandle, ending: Ending): void {
    this.#fleet.lost(worker, ending)
    if (worker.readyAt === undefined) this.#restart.failed(worker, this.#board.read().bootError)
  }

  /** Compares what is wanted with what runs. While nothing works, the next try waits for somebody to ask. */
  #reconcile(): void {
    if (this.#ending || this.#rest.isLooking) return
    const { wait, isReady } = this.#fleet
    clearTimeout(this.#retry)
    if (wait === 0) this.#fleet.fill()
    else if (isReady) this.#retry = setTimeout(() => this.#reconcile(), wait).unref()
    this.#restart.next()
    if (this.#fleet.active.length === 0) this.#standInForApp()
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
    this.#reason = reason
    this.#final = final
    this.#rest.end()
    this.#say(`ends: ${reason}`)
    const grace = this.#orphaned ? Math.min(ORPHAN_GRACE, this.#config.grace) : this.#config.grace
    this.#restart.leave()
    this.#supervision?.end()
    for (const worker of this.#fleet.all) worker.stop({ grace, patience: 0, final, cut })
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
    this.#board.write({ pid: 0, why: this.#reason, changedAt: Date.now() })
    if (this.#config.statsFile !== undefined) this.#supervise().leaveStats(this.#final)
    process.exit(0)
  }

  /** Our group, ourselves included: lookout would have buried what the app has left. */
  #leaveNobody(): void {
    process.kill(-process.pid, 'SIGKILL')
  }
}

const config = inherited(process.env)
if (config) new Master(config, process.env).run()
