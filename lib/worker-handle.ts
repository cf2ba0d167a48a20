/** The master's side of a worker: how it stands, what to ask of it, its end. The worker's own side is worker.ts. */
import type { Busy } from './busy.js'
import { Channel, type Fault, type Stop, type ToMaster, type ToWorker } from './channel.js'
import { now } from './clock.js'
import { write } from './log.js'
import { Control, posix, type Watch } from './posix.js'
import { busyOf, faultOf, list, number, text } from './said.js'
import { Field, type Slot, type WorkerStats } from './slot.js'

/** The end of a process: its exit code, or the signal that killed it. */
export type Ending = { code: number } | { signal: number }

export type WorkerEvent = { worker: WorkerHandle } & (
  | { type: 'started' }
  | { type: 'ready' }
  | { type: 'late' }
  /** Its first request was answered, at this time. */
  | { type: 'answered'; at: number }
  | { type: 'quieted'; active: number; why: string[] }
  | { type: 'loaded'; files: string[] }
  | { type: 'detached' }
  /** `asked`: it was told to; else it crashed. */
  | { type: 'ended'; ending: Ending; asked: boolean }
)

/** How much is passed on of what node says of the exception that ended a worker. */
const REPORT = 65_536

/** How much of what an app wrote while it was starting is kept for the page that shows why it failed. */
const TAIL = 8192

const SIGKILL = 9

export class WorkerHandle {
  state: 'starting' | 'ready' | 'stopping' | 'ended' = 'starting'
  /** When it listened; undefined until then. */
  readyAt?: number
  /** The indexes of the addresses that its app listens on. */
  served: number[] = []
  fault?: Fault
  output = ''
  /** What it had to do about a second ago. */
  busy: Busy = busyOf({})
  /** The one whose place it is to take once it is ready. */
  replaces: WorkerHandle | undefined
  /** 0 to 1, its own: spreads over time what is due for several workers at once. */
  readonly jitter = Math.random()
  #report = ''
  readonly #pidfd: number
  readonly #watch: Watch
  readonly #channel: Channel<ToMaster, ToWorker>
  #deadline?: NodeJS.Timeout
  #killedAt = Number.POSITIVE_INFINITY

  /**
   * Adopts a child of ours that was just forked.
   * @param id the number of its slot
   * @param bootTimeout ms until `late` is emitted, if it does not listen; 0: never
   */
  constructor(
    readonly id: number,
    readonly pid: number,
    channel: number,
    private readonly slot: Slot,
    bootTimeout: number,
    private readonly emit: (event: WorkerEvent) => void,
    readonly startedAt = now(),
  ) {
    this.#pidfd = posix.pidfdOpen(pid)
    this.#watch = posix.poll(this.#pidfd, () => this.#reap())
    posix.control(this.#watch, Control.start)
    this.#channel = new Channel(channel, message => this.#receive(message))
    if (bootTimeout > 0) this.#deadline = setTimeout(() => this.emit({ type: 'late', worker: this }), bootTimeout)
  }

  get identity(): string {
    return `worker ${this.id} pid ${this.pid}`
  }

  get alive(): boolean {
    return this.state !== 'ended'
  }

  /** Whether it serves, or is about to. */
  get active(): boolean {
    return this.state === 'starting' || this.state === 'ready'
  }

  /** What it says of itself; the pid is what we know. */
  get stats(): WorkerStats {
    return { ...this.slot.read(), pid: this.pid }
  }

  /** -1: it has not said yet; 0: well; else the highest code that its app gave to unhealthy(). After Karafka's Node. */
  get status(): number {
    const { lastCheckin, status } = this.stats
    return lastCheckin === 0 ? -1 : status
  }

  /** ms, monotonic, of its last work; Infinity while it has some, or cannot be asked: it is booting, or busy. */
  lastActive(staleAfter: number): number {
    if (this.state === 'starting') return Number.POSITIVE_INFINITY
    const { lastActive, lastCheckin } = this.stats
    const time = now()
    return time - lastCheckin > staleAfter || lastActive > time ? Number.POSITIVE_INFINITY : lastActive
  }

  send(message: ToWorker): void {
    this.#channel.send(message)
  }

  /** Asks it to finish; kills it after `grace` ms. Said again, the sooner of both holds. */
  stop(options: Stop): void {
    if (!this.alive) return
    this.state = 'stopping'
    this.send({ type: 'stop', ...options })
    this.#killAt(options.grace)
  }

  /** Another worker is there, whose slot this is. Where no descriptor is free, connections are spread less evenly. */
  meet(slot: number): void {
    try {
      this.#channel.send({ type: 'peer' }, slot)
    } catch {
      // It is not told.
    }
  }

  /** Nobody is accepted until `resume`; what is served goes on. */
  quiet(): void {
    this.send({ type: 'quiet' })
  }

  resume(): void {
    this.send({ type: 'resume' })
  }

  /** Its event loop hangs, so there is nothing to be asked of it: a signal, then the end `grace` ms later. */
  giveUp(signal: number, grace: number): void {
    this.state = 'stopping'
    this.slot.words[Field.accepting] = 0
    this.signal(signal)
    this.#killAt(grace)
  }

  /** Lets it finish on its own, for as long as that takes, and outlive us. */
  detach(): void {
    this.state = 'stopping'
    this.send({ type: 'detach' })
    clearTimeout(this.#deadline)
    posix.control(this.#watch, Control.unref)
  }

  terminate(): void {
    this.signal(SIGKILL)
  }

  /** By its pidfd, which is never another process's. @returns false when it is gone */
  signal(number: number): boolean {
    return this.alive && posix.pidfdKill(this.#pidfd, number)
  }

  #killAt(grace: number): void {
    const at = now() + grace
    if (this.#killedAt <= at) return
    this.#killedAt = at
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.terminate(), grace)
  }

  #receive(message: ToMaster): void {
    switch (message.type) {
      case 'ready':
        this.served = list(message.served, 'number')
        if (this.state !== 'starting') return
        this.state = 'ready'
        this.readyAt = now()
        clearTimeout(this.#deadline)
        return this.emit({ type: 'ready', worker: this })
      case 'quieted':
        return this.emit({
          type: 'quieted',
          worker: this,
          active: number(message.active),
          why: list(message.why, 'string'),
        })
      case 'fault':
        this.fault = faultOf(message.fault)
        return this.#channel.becomeRaw(text => {
          this.#report = (this.#report + text).slice(0, REPORT)
        })
      case 'output':
        this.output = (this.output + text(message.text)).slice(-TAIL)
        return
      case 'answered':
        return this.emit({ type: 'answered', worker: this, at: number(message.at) })
      case 'busy':
        this.busy = busyOf(message.busy)
        return
      case 'loaded':
        return this.emit({ type: 'loaded', worker: this, files: list(message.files, 'string') })
      case 'detached':
        return this.emit({ type: 'detached', worker: this })
    }
  }

  /** What node said of the exception goes where it was meant to go, and is the best account of it. */
  #passOn(): void {
    if (!this.fault || this.#report === '') return
    write(this.#report, 'error')
    this.fault.stack = this.#report.replace(/\n+Node\.js v\S+\s*$/, '').trim()
  }

  #reap(): void {
    const status = posix.pidfdReap(this.#pidfd)
    if (status === undefined || this.state === 'ended') return
    this.slot.words[Field.accepting] = 0 // it cannot say so itself: its peers would wait for it
    const asked = this.state === 'stopping'
    this.#cleanup()
    this.#passOn()
    this.emit({ type: 'ended', worker: this, asked, ending: status >= 0 ? { code: status } : { signal: -status } })
  }

  /** Hears what it said last, which may have it stopped or signalled, then lets go of all that we had of it. */
  #cleanup(): void {
    this.#channel.read()
    this.#channel.close()
    clearTimeout(this.#deadline)
    posix.control(this.#watch, Control.close)
    posix.close(this.#pidfd)
    this.state = 'ended'
  }
}
