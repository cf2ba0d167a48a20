/**
 * The master: woken by the first connection, beside worker 0, which is its child already. It keeps the wanted workers
 * running, stands in for an app that fails, decides when the app is idle, drains and exits 0.
 *
 * Whatever happens comes in as an event and is acted on in one place; `phase` says what the master is about.
 */

import { Backoff } from './backoff.js'
import { Changes, filesIn } from './changes.js'
import { duration, now } from './clock.js'
import { type AppConfig, inherited } from './config.js'
import { Idle } from './idle.js'
import { say, tracer } from './log.js'
import type { Failing } from './page.js'
import { Control, posix } from './posix.js'
import { type Group, type Inherited, inherit, scrub } from './sockets.js'
import { spawnWorker } from './spawn.js'
import type { StandIn } from './stand-in.js'
import { Stats } from './stats.js'
import { type Ending, type WorkerEvent, WorkerHandle } from './worker-handle.js'

const trace = tracer('master')

/** ms that workers have to answer whether they are idle; who does not answer is busy. */
const ANSWER = 1000
/** ms of drain when lookout itself is gone: nothing outlives it by more than a second. */
const ORPHAN_GRACE = 500

type Phase = 'running' | 'looking' | 'ending'

class Master {
  readonly #config: AppConfig
  readonly #sockets: Inherited
  readonly #env: NodeJS.ProcessEnv
  readonly #stats: Stats
  readonly #lookout = process.ppid
  readonly #workers = new Map<number, WorkerHandle>()
  readonly #backoff = new Backoff()
  readonly #idle: Idle
  readonly #changes = new Changes()
  #phase: Phase = 'running'
  #standIn: StandIn | undefined
  #failure: Omit<Failing, 'name' | 'retryAfter'> | undefined
  #answers = new Set<WorkerHandle>()
  #timer: NodeJS.Timeout | undefined
  #watcher: { add(files: string[]): void } | undefined

  constructor(config: AppConfig, env: NodeJS.ProcessEnv) {
    this.#config = config
    this.#env = { ...env }
    this.#sockets = inherit(env)
    this.#stats = new Stats(this.#sockets.stats)
    this.#idle = new Idle(config.idle, now())
    scrub(env)
  }

  run(): void {
    process.title = `lookout master ${this.#config.name}`
    // Not a signal: one that came before there is a handler would kill us. The end of file stays until it is read.
    posix.cloexec(this.#sockets.lifeline, 1)
    const lifeline = posix.poll(this.#sockets.lifeline, () => {
      posix.control(lifeline, Control.close)
      this.#end('stopped')
    })
    posix.control(lifeline, Control.start)
    process.on('SIGTERM', () => this.#end('stopped'))
    process.on('SIGINT', () => this.#end('stopped'))
    process.on('SIGQUIT', () => process.exit(1)) // the kernel kills the workers with us
    this.#changes.note([this.#config.script])
    this.#adopt(0, Number(this.#env.LOOKOUT_WORKER_PID), this.#sockets.channel, Number(this.#env.LOOKOUT_WOKEN))
    this.#arm()
  }

  #say(text: string): void {
    if (!this.#config.quiet) say(`master ${process.pid}`, text)
  }

  // ---- Workers ----

  #adopt(index: number, pid: number, channel: number, since?: number): void {
    const { bootTimeout } = this.#config
    const worker = new WorkerHandle(
      index,
      pid,
      channel,
      this.#stats.slot(index),
      bootTimeout,
      event => this.#on(event),
      since,
    )
    this.#workers.set(index, worker)
    trace('%s started', worker.identity)
  }

  #on(event: WorkerEvent): void {
    const { worker } = event
    trace('%s %s', worker.identity, event.type)
    switch (event.type) {
      case 'ready':
        this.#say(`${worker.identity} ready in ${duration(now() - worker.startedAt)}`)
        this.#idle.touch(now())
        this.#retireStandIn()
        return this.#reconcile()
      case 'late':
        worker.fault ??= { message: `It did not listen within ${duration(this.#config.bootTimeout)}.` }
        return worker.kill()
      case 'loaded':
        return this.#loaded(event.files)
      case 'quieted':
        return this.#quieted(worker, event.active, event.why)
      case 'ended':
        this.#workers.delete(worker.index)
        if (this.#phase === 'ending') return this.#leave()
        this.#died(worker, event.ending)
        if (this.#phase === 'looking') this.#quieted(worker, 0, [])
        return this.#reconcile()
    }
  }

  #died(worker: WorkerHandle, ending: Ending): void {
    const time = now()
    const how = 'code' in ending ? `exited with code ${ending.code}` : `was killed by signal ${ending.signal}`
    if (worker.readyAt === undefined) this.#backoff.bootFailed(time)
    else this.#backoff.crashed(time, time - worker.readyAt)
    const when = worker.readyAt === undefined ? 'before it listened' : `after ${duration(time - worker.readyAt)}`
    const what = worker.fault && worker.readyAt === undefined ? 'the app failed to start' : `the app ${how} ${when}`
    this.#failure = { what, ...worker.fault, output: worker.output }
    this.#changes.note(filesIn(worker.fault?.stack ?? ''))
    say(
      `master ${process.pid}`,
      `${worker.identity} ${how} ${when}${worker.fault ? `: ${worker.fault.message.split('\n', 1)[0]}` : ''}`,
    )
  }

  /** Starts what is wanted and missing; while nothing works, one worker at a time, and only when somebody asks. */
  #reconcile(): void {
    if (this.#phase !== 'running') return
    const workers = [...this.#workers.values()]
    const ready = workers.some(worker => worker.state === 'ready')
    const wait = this.#backoff.remaining(now())
    if (!ready && wait > 0) {
      if (workers.length === 0) this.#standInForApp()
      return
    }
    if (wait > 0) {
      setTimeout(() => this.#reconcile(), wait).unref()
      return
    }
    for (let index = 0; index < this.#config.workers; index++) {
      if (!this.#workers.has(index) && (ready || this.#workers.size === 0)) this.#spawn(index)
    }
  }

  #spawn(index: number): void {
    try {
      const { pid, channel } = spawnWorker(index, this.#sockets, this.#stats, this.#env)
      this.#adopt(index, pid, channel)
    } catch (error) {
      const { message } = error as Error
      this.#backoff.bootFailed(now())
      this.#failure = { what: 'a worker could not be started', message }
      say(`master ${process.pid}`, `cannot start worker ${index}: ${message}`)
      this.#reconcile()
    }
  }

  // ---- Standing in for an app that fails ----

  #standInForApp(): void {
    if (this.#standIn) return this.#standIn.start()
    const { StandIn } = require('./stand-in.js') as typeof import('./stand-in.js')
    this.#standIn = new StandIn(this.#sockets.groups, {
      admit: () => !this.#tryAgain(),
      failing: () => {
        this.#idle.touch(now())
        const retryAfter = Math.max(1, Math.ceil(this.#backoff.remaining(now()) / 1000))
        return { name: this.#config.name, what: 'it failed', ...this.#failure, retryAfter }
      },
    })
  }

  /** Somebody connects: another try, when it is due or the app's files have changed. */
  #tryAgain(): boolean {
    if (this.#phase !== 'running') return true
    if (this.#backoff.remaining(now()) > 0 && !this.#changes.any()) return false
    this.#backoff.forget()
    this.#standIn?.stop()
    this.#idle.touch(now())
    this.#reconcile()
    return true
  }

  #retireStandIn(): void {
    const standIn = this.#standIn
    this.#standIn = undefined
    standIn?.stop()
    void standIn?.close()
  }

  // ---- Files ----

  #loaded(files: string[]): void {
    this.#changes.note(files)
    if (!this.#config.watch) return
    if (this.#watcher) return this.#watcher.add(files)
    const { watch } = require('./watch.js') as typeof import('./watch.js')
    this.#watcher = watch([this.#config.script, ...files], file => this.#end(`${file} changed`, true))
  }

  // ---- Rest ----

  /** Looks again when the app may be idle; workers say in shared memory when they last had work. */
  #arm(): void {
    clearTimeout(this.#timer)
    if (this.#config.idle === 0 || this.#phase !== 'running') return
    const interval = Math.min(1000, Math.max(10, this.#config.idle / 10))
    for (const worker of this.#workers.values())
      this.#idle.touch(Math.min(now(), worker.lastActive(4 * interval + 100)))
    const remaining = this.#idle.remaining(now())
    if (remaining > 0) this.#timer = setTimeout(() => this.#arm(), Math.max(1, Math.min(remaining, interval)))
    else this.#look()
  }

  /** It seems idle: the workers stop accepting and look exactly. A connection meanwhile waits in the queue. */
  #look(): void {
    this.#phase = 'looking'
    this.#standIn?.stop()
    this.#answers = new Set(this.#workers.values())
    for (const worker of this.#answers) worker.send({ type: 'quiet' })
    this.#timer = setTimeout(() => this.#resume(), ANSWER)
    if (this.#answers.size === 0) this.#looked()
  }

  #quieted(worker: WorkerHandle, active: number, why: string[]): void {
    if (this.#phase !== 'looking') return
    if (why.length > 0) trace('%s is busy: %o', worker.identity, why)
    this.#idle.touch(Math.min(now(), active))
    this.#answers.delete(worker)
    if (this.#answers.size === 0) this.#looked()
  }

  /** Everybody has answered. Work, or somebody who waits to be accepted: go on. */
  #looked(): void {
    const served = new Set([...this.#workers.values()].flatMap(worker => worker.served))
    for (const [index, group] of this.#sockets.groups.entries()) {
      if (!group.fds.some(fd => posix.readable(fd) > 0)) continue
      if (served.has(index) || this.#workers.size === 0) this.#idle.touch(now())
      else this.#turnAway(group)
    }
    if (this.#idle.remaining(now()) > 0) this.#resume()
    else this.#end(`idle ${duration(this.#config.idle)}`)
  }

  /** The app does not listen there: who connects would wait for ever, and keep it awake, or wake it again and again. */
  #turnAway({ fds, path, port }: Group): void {
    for (const waiting of fds) {
      for (let fd = posix.accept(waiting); fd >= 0; fd = posix.accept(waiting)) posix.close(fd)
    }
    say(`master ${process.pid}`, `closed connections to ${path ?? `port ${port}`}: the app does not listen there`)
  }

  #resume(): void {
    clearTimeout(this.#timer)
    if (this.#answers.size > 0) this.#idle.touch(now()) // who does not answer is busy
    this.#phase = 'running'
    for (const worker of this.#workers.values()) worker.send({ type: 'resume' })
    if (this.#standIn && this.#workers.size === 0) this.#standIn.start()
    this.#reconcile()
    this.#arm()
  }

  // ---- The end ----

  /**
   * Drains and exits. While lookout lives it keeps the sockets: who connects meanwhile waits for the next master. When it is
   * gone, or is going, everyone's sockets are closed, and the address is free.
   */
  #end(reason: string, cut = false): void {
    if (this.#phase === 'ending') return
    this.#phase = 'ending'
    clearTimeout(this.#timer)
    const orphaned = process.ppid !== this.#lookout
    const final = reason === 'stopped'
    this.#say(orphaned ? 'ends: lookout is gone' : `ends: ${reason}`)
    const grace = orphaned ? Math.min(ORPHAN_GRACE, this.#config.grace) : this.#config.grace
    for (const worker of this.#workers.values()) worker.stop({ grace, final, cut })
    this.#standIn?.stop()
    void this.#standIn?.close().then(() => {
      this.#standIn = undefined
      this.#leave()
    })
    if (final) for (const { fds } of this.#sockets.groups) for (const fd of fds) posix.close(fd)
    if (orphaned) setTimeout(() => process.kill(-process.pid, 'SIGKILL'), ORPHAN_GRACE + 100).unref()
    this.#leave()
  }

  #leave(): void {
    if (this.#workers.size > 0 || this.#standIn) return
    if (process.ppid !== this.#lookout) process.kill(-process.pid, 'SIGKILL') // our group: nobody is left to bury it
    process.exit(0)
  }
}

const config = inherited(process.env)
if (config) new Master(config, process.env).run()
