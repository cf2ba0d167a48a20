/** The master's side of a worker: how it stands, what to ask of it, its end. The worker's own side is worker.ts. */
import { Channel, type Fault, type ToMaster, type ToWorker } from './channel.js'
import { now } from './clock.js'
import { write } from './log.js'
import { Control, posix, type Watch } from './posix.js'
import { Field, type Slot } from './stats.js'

/** The end of a process: its exit code, or the signal that killed it. */
export type Ending = { code: number } | { signal: number }

export type WorkerEvent = { worker: WorkerHandle } & (
  | { type: 'ready' }
  | { type: 'late' }
  | { type: 'quieted'; active: number; why: string[] }
  | { type: 'loaded'; files: string[] }
  | { type: 'ended'; ending: Ending }
)

/** How much is passed on of what node says of the exception that ended a worker. */
const REPORT = 65_536

/** How much of what an app wrote while it was starting is kept for the page that shows why it failed. */
const TAIL = 8192

export class WorkerHandle {
  state: 'starting' | 'ready' | 'stopping' | 'ended' = 'starting'
  /** When it listened; undefined until then. */
  readyAt?: number
  /** The indexes of the addresses that its app listens on. */
  served: number[] = []
  fault?: Fault
  output = ''
  #report = ''
  readonly #pidfd: number
  readonly #watch: Watch
  readonly #channel: Channel<ToMaster, ToWorker>
  #deadline?: NodeJS.Timeout

  /**
   * Adopts a child of ours that was just forked.
   * @param bootTimeout ms until `late` is emitted, if it does not listen; 0: never
   */
  constructor(
    readonly index: number,
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
    return `worker ${this.index} pid ${this.pid}`
  }

  /** ms, monotonic, of its last work; Infinity while it has some, or cannot be asked: it is booting, or busy. */
  lastActive(staleAfter: number): number {
    if (this.state === 'starting') return Number.POSITIVE_INFINITY
    const { [Field.active]: active, [Field.checkin]: checkin } = this.slot
    const time = now()
    return time - checkin! > staleAfter || active! > time ? Number.POSITIVE_INFINITY : active!
  }

  send(message: ToWorker): void {
    this.#channel.send(message)
  }

  /** Asks it to finish; kills it after `grace` ms. */
  stop(options: { grace: number; final: boolean; cut: boolean }): void {
    if (this.state === 'stopping' || this.state === 'ended') return
    this.state = 'stopping'
    this.send({ type: 'stop', ...options })
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.kill(), options.grace)
  }

  kill(): void {
    if (this.state !== 'ended') posix.pidfdKill(this.#pidfd, 9)
  }

  #receive(message: ToMaster): void {
    switch (message.type) {
      case 'ready':
        this.served = message.served
        if (this.state !== 'starting') return
        this.state = 'ready'
        this.readyAt = now()
        clearTimeout(this.#deadline)
        return this.emit({ type: 'ready', worker: this })
      case 'quieted':
        return this.emit({
          type: 'quieted',
          worker: this,
          active: message.active ?? Number.POSITIVE_INFINITY,
          why: message.why,
        })
      case 'fault':
        this.fault = message.fault
        return this.#channel.becomeRaw(text => {
          this.#report = (this.#report + text).slice(0, REPORT)
        })
      case 'output':
        this.output = (this.output + message.text).slice(-TAIL)
        return
      case 'loaded':
        return this.emit({ type: 'loaded', worker: this, files: message.files })
    }
  }

  /** What node said of the exception goes where it was meant to go, and is the best account of it. */
  #passOn(): void {
    if (!this.fault || this.#report === '') return
    write(this.#report)
    this.fault.stack = this.#report.replace(/\n+Node\.js v\S+\s*$/, '').trim()
  }

  #reap(): void {
    const status = posix.pidfdReap(this.#pidfd)
    if (status === undefined || this.state === 'ended') return
    clearTimeout(this.#deadline)
    posix.control(this.#watch, Control.close)
    posix.close(this.#pidfd)
    this.slot[Field.accepting] = 0 // it cannot say so itself: its peers would wait for it
    this.#channel.read() // what it said last
    this.#channel.close()
    this.state = 'ended'
    this.#passOn()
    this.emit({ type: 'ended', worker: this, ending: status >= 0 ? { code: status } : { signal: -status } })
  }
}
