/** The workers of one master: those that run, those that are wanted, and what is known of one that failed. */
import { Backoff } from './backoff.js'
import { Changes, filesIn } from './changes.js'
import { duration, now } from './clock.js'
import type { AppConfig } from './config.js'
import { say, tracer } from './log.js'
import type { Failing } from './page.js'
import type { Inherited } from './sockets.js'
import { spawnWorker } from './spawn.js'
import { Stats } from './stats.js'
import { type Ending, type WorkerEvent, WorkerHandle } from './worker-handle.js'

const trace = tracer('fleet')

export class Fleet {
  readonly #workers = new Map<number, WorkerHandle>()
  readonly #backoff = new Backoff()
  readonly #changes = new Changes()
  readonly #stats: Stats
  #failure: Omit<Failing, 'name' | 'retryAfter'> = { what: 'it failed' }

  /** @param env what the master inherited, which further workers get, too */
  constructor(
    private readonly config: AppConfig,
    private readonly sockets: Inherited,
    private readonly env: NodeJS.ProcessEnv,
    private readonly emit: (event: WorkerEvent) => void,
  ) {
    this.#stats = new Stats(sockets.stats)
    this.#changes.note([config.script])
    this.#adopt(0, Number(env.LOOKOUT_WORKER_PID), sockets.channel, Number(env.LOOKOUT_WOKEN))
  }

  get all(): WorkerHandle[] {
    return [...this.#workers.values()]
  }

  get isReady(): boolean {
    return this.all.some(worker => worker.state === 'ready')
  }

  /** ms until another may be started. */
  get wait(): number {
    return this.#backoff.remaining(now())
  }

  /** What a visitor is told. */
  get failing(): Failing {
    return { name: this.config.name, ...this.#failure, retryAfter: Math.max(1, Math.ceil(this.wait / 1000)) }
  }

  /** Starts what is wanted and missing; one worker alone, until one is ready. */
  fill(): void {
    for (let index = 0; index < this.config.workers && this.wait === 0; index++) {
      if (!this.#workers.has(index) && (this.isReady || this.#workers.size === 0)) this.#spawn(index)
    }
  }

  /** Files that the app is made of: when one changes after a failure, the next try need not wait. */
  note(files: string[]): void {
    this.#changes.note(files)
  }

  /** Whether another try is due, or promising; then nothing is in its way. */
  mayRetry(): boolean {
    if (this.wait > 0 && !this.#changes.any()) return false
    this.#backoff.forget()
    return true
  }

  /** A worker has ended that was not asked to. */
  lost(worker: WorkerHandle, ending: Ending): void {
    const time = now()
    const { readyAt, fault } = worker
    if (readyAt === undefined) this.#backoff.bootFailed(time)
    else this.#backoff.crashed(time, time - readyAt)
    const how = 'code' in ending ? `exited with code ${ending.code}` : `was killed by signal ${ending.signal}`
    const when = readyAt === undefined ? 'before it listened' : `after ${duration(time - readyAt)}`
    const what = fault && readyAt === undefined ? 'the app failed to start' : `the app ${how} ${when}`
    this.#failure = { what, ...fault, output: worker.output }
    this.#changes.note(filesIn(fault?.stack ?? ''))
    this.#complain(`${worker.identity} ${how} ${when}${fault ? `: ${fault.message.split('\n', 1)[0]}` : ''}`)
  }

  remove(worker: WorkerHandle): void {
    this.#workers.delete(worker.index)
  }

  #adopt(index: number, pid: number, channel: number, since?: number): void {
    const slot = this.#stats.slot(index)
    const worker = new WorkerHandle(index, pid, channel, slot, this.config.bootTimeout, this.emit, since)
    this.#workers.set(index, worker)
    trace('%s started', worker.identity)
  }

  #spawn(index: number): void {
    try {
      const { pid, channel } = spawnWorker(index, this.sockets, this.#stats, this.env)
      this.#adopt(index, pid, channel)
    } catch (error) {
      const { message } = error as Error
      this.#backoff.bootFailed(now())
      this.#failure = { what: 'a worker could not be started', message }
      this.#complain(`cannot start worker ${index}: ${message}`)
    }
  }

  #complain(text: string): void {
    say(`master ${process.pid}`, text)
  }
}
