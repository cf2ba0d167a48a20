/**
 * What a master looks at regularly while the app is awake: workers that hang, that are due to be replaced, that are too few or
 * too many; and what it tells about all that. Loaded after the first answer: nobody waits for it.
 */
import fs from 'node:fs'
import { Backoff } from './backoff.js'
import type { Board, Latency } from './board.js'
import { reasonsOf } from './busy.js'
import { duration, now } from './clock.js'
import type { AppConfig } from './config.js'
import { causeOf } from './errors.js'
import type { Fleet } from './fleet.js'
import { due } from './limits.js'
import { Scaling } from './scaling.js'
import type { WorkerStats } from './slot.js'
import { backlogOf, type Group } from './sockets.js'
import { plural } from './text.js'
import { looksFor, silenceFor, Watchdog } from './watchdog.js'
import type { WorkerHandle } from './worker-handle.js'

/** ms between two looks, and while a pool may have to grow. */
const INTERVAL = 1000
const SOON = 100

/** ms by which a timer may be early. */
const EARLY = 50

/** What is told of a pool: STATISTICS in lookout(1) says what each is. */
export interface PoolStats {
  name: string
  state: 'awake' | 'rests'
  /** A date, as the others. */
  since: string
  why: string
  /** The pid of the process whose children the workers are. */
  master?: number
  wakes: number
  failures: number
  requests: number
  firstRequest?: Latency
  bootError?: string
  restart?: string
  workers: (Omit<WorkerStats, 'startedAt' | 'lastCheckin' | 'lastActive' | 'booted' | 'accepting'> & {
    id: number
    state: WorkerHandle['state']
    startedAt: string
    lastCheckin: string | null
    booted: boolean
    /** Whether it takes connections: it does not while it is quiet, or stopping. */
    accepting: boolean
  })[]
}

interface MasterHooks {
  /** When the app may rest, while nothing keeps it awake, in words. */
  prospect(): string
  /** Starts what is wanted and missing. */
  reconcile(): void
  /** How it is, in a line: about once a second. */
  told(status: string): void
}

export class Supervision {
  readonly #interval: number
  readonly #watchdog: Watchdog<WorkerHandle>
  readonly #scaling: Scaling<{ ready: boolean; stats: WorkerHandle['stats']; worker: WorkerHandle }> | undefined
  /** A fresh worker that is no better is not replaced at once. */
  readonly #sick = new Backoff()
  #timer: NodeJS.Timeout | undefined
  #toldAt = Number.NEGATIVE_INFINITY
  /** What cannot be written, which stops nobody from being served. */
  #trouble = ''

  constructor(
    private readonly config: AppConfig,
    private readonly fleet: Fleet,
    private readonly board: Board,
    private readonly groups: Group[],
    private readonly master: MasterHooks,
  ) {
    const { least, most } = config.workers
    this.#interval = Math.min(least < most ? SOON : INTERVAL, looksFor(config.watchdog))
    this.#watchdog = new Watchdog(silenceFor(config.watchdog), this.#interval, now())
    if (least < most) this.#scaling = new Scaling(config, now())
    this.#timer = setInterval(() => this.look(), this.#interval).unref()
    this.look()
  }

  look(): void {
    const time = now()
    const killed = this.#killWhoHangs(time)
    const ready = this.fleet.active.filter(({ state }) => state === 'ready')
    for (const worker of ready) {
      this.#replaceIfDue(worker, time)
    }
    this.#scale(time)
    // Where nothing works, the next try waits for somebody to ask.
    if (killed > 0 || this.fleet.active.length > 0) this.master.reconcile()
    if (time - this.#toldAt < INTERVAL - EARLY) return
    this.#toldAt = time
    this.tell()
  }

  #replaceIfDue(worker: WorkerHandle, time: number): void {
    const reason = due(this.config, worker.stats, worker.jitter, time)
    if (!reason || (reason.sick && this.#sick.remaining(time) > 0) || !this.fleet.replace(worker)) return
    if (reason.sick) this.#sick.crashed(time, time - (worker.readyAt ?? time))
    this.fleet.complain(`${worker.identity} is replaced: it ${reason.why}`, reason.sick ? 'warning' : 'info')
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #killWhoHangs(time: number): number {
    const workers = this.fleet.active.filter(({ state }) => state === 'ready')
    const looks = workers.map(worker => ({ worker, checkin: worker.stats.lastCheckin }))
    const hung = this.#watchdog.look(looks, time)
    for (const worker of hung) {
      this.fleet.complain(
        `${worker.identity} hangs: its event loop has not turned for ${duration(this.config.watchdog)}`,
      )
      this.board.add({ failures: 1 })
      worker.giveUp(this.config.watchdogSignal, this.config.grace)
    }
    return hung.length
  }

  #scale(time: number): void {
    if (!this.#scaling || !this.fleet.isReady) return
    const members = this.fleet.active
      .filter(({ replaces }) => !replaces?.active)
      .map(worker => ({ worker, ready: worker.state === 'ready', stats: worker.stats }))
    const { start, retire } = this.#scaling.decide(members, backlogOf(this.groups), time)
    const { least, most } = this.config.workers
    this.fleet.wanted = Math.min(most, Math.max(least, members.length + start - retire.length))
    for (const { worker } of retire) this.fleet.retire(worker, 'there is room without it')
  }

  /** Says why the app is awake: on the board, in the statistics file, and to whoever manages us as a service. */
  tell(): void {
    this.board.write({ why: this.#why() })
    this.master.told(this.status)
    this.writeStats()
  }

  get status(): string {
    const { why, requests, workers, bootError } = this.stats
    const ready = workers.filter(({ state }) => state === 'ready').length
    if (ready === 0) return bootError ? `fails: ${bootError}` : 'boots'
    const { wanted } = this.fleet
    const some = ready === wanted ? '' : `${ready} of `
    return `${some}${plural(wanted, 'worker')}, ${plural(requests, 'request')}; ${why}`
  }

  #why(): string {
    const { active, wait } = this.fleet
    if (active.length === 0) return wait > 0 ? `next try in ${duration(wait)}` : 'the next request is another try'
    const reasons = reasonsOf(this.fleet.all.map(({ busy }) => busy))
    const why = reasons.length > 0 ? reasons.join(', ') : this.master.prospect()
    return this.#trouble === '' ? why : `${why}; degraded: ${this.#trouble}`
  }

  /** What `--stats-file` asks for; `kill -USR1` says it on stderr, too. */
  get stats(): PoolStats {
    const { pid, wakes, failures, requests, changedAt, why, bootError, restart, firstRequest } = this.board.read()
    const { all } = this.fleet
    const time = now()
    const date = (ms: number) => new Date(Date.now() - (time - Math.min(ms, time))).toISOString() // whatever was written
    return {
      name: this.config.name,
      state: pid === 0 ? 'rests' : 'awake',
      since: new Date(Math.min(changedAt, Date.now())).toISOString(),
      why,
      ...(pid !== 0 && { master: pid }),
      wakes,
      failures,
      requests: requests + all.reduce((sum, { stats }) => sum + stats.requests, 0),
      ...(firstRequest && { firstRequest }),
      ...(bootError && { bootError }),
      ...(restart && { restart }),
      workers: all.map(worker => {
        const { startedAt, lastCheckin, lastActive, booted, accepting, ...rest } = worker.stats
        return {
          id: worker.id,
          ...rest,
          state: worker.state,
          startedAt: date(worker.startedAt),
          lastCheckin: lastCheckin === 0 ? null : date(lastCheckin),
          booted: booted === 1,
          accepting: accepting === 1,
        }
      }),
    }
  }

  /** The last word of this master; lookout itself has removed the file where it is to end. */
  leaveStats(final: boolean): void {
    if (final) discard(this.config.statsFile!)
    else this.writeStats()
  }

  /** Whole, or not at all: who reads it never sees a part. */
  writeStats(): void {
    const { statsFile } = this.config
    if (statsFile === undefined) return
    const temporary = `${statsFile}.${process.pid}`
    try {
      fs.writeFileSync(temporary, `${JSON.stringify(this.stats, null, 2)}\n`)
      fs.renameSync(temporary, statsFile)
      this.#trouble = ''
    } catch (error) {
      const trouble = `cannot write ${statsFile}: ${causeOf(error)}`
      if (this.#trouble !== trouble) this.fleet.complain(trouble) // once is enough for as long as it lasts
      this.#trouble = trouble
      discard(temporary)
    }
  }
}

/** A file that may be there, and may be gone. */
function discard(file: string): void {
  try {
    fs.rmSync(file, { force: true })
  } catch {
    // Where it cannot be removed it could not be written either, which was said.
  }
}
