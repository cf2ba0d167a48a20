/**
 * A phased restart: worker after worker, a new one first, which loads the code anew; the old one goes only when the new one is
 * ready. If one does not come to be, the others stay as they are.
 */
import type { Board } from './board.js'
import { now } from './clock.js'
import type { Fleet } from './fleet.js'
import { plural } from './text.js'
import type { WorkerHandle } from './worker-handle.js'

type Done = (failed: boolean, text: string) => void

export class Restart {
  #state: 'none' | 'running' | 'over' = 'none'
  /** Those that are still to be replaced; the first is being replaced. */
  #old: WorkerHandle[] = []
  #total = 0
  /** ms, monotonic. */
  #begunAt = 0
  /** Who waits for this one's end, and who for that of the next; undefined: there is no next. */
  #waiting: Done[] = []
  #next: Done[] | undefined

  /** @param say gets what a person wants to know of it */
  constructor(
    private readonly fleet: Fleet,
    private readonly board: Board,
    private readonly say: (text: string) => void,
  ) {}

  /**
   * Begins; one that is asked for meanwhile comes after it.
   * @param done called once it has ended
   */
  begin(done?: Done): void {
    if (this.#state === 'over') return done?.(true, 'it was stopped meanwhile')
    this.#next = [...(this.#next ?? []), ...(done ? [done] : [])]
    if (this.#state === 'running') return
    this.#waiting = this.#next
    this.#next = undefined
    this.#state = 'running'
    this.#begunAt = now()
    this.#old = this.fleet.active.filter(({ replaces }) => !replaces?.active)
    this.#total = this.#old.length
    this.board.add({ restartsBegun: 1 })
    this.say('restarts')
    if (this.#total === 0) this.fleet.retryNow() // the app fails: the next worker decides
    this.proceed()
  }

  /** Something has changed: goes on where it can. */
  proceed(): void {
    if (this.#state !== 'running' || this.#total === 0 || this.fleet.all.some(isReplacement)) return
    this.#old = this.#old.filter(worker => worker.active)
    const [worker] = this.#old
    if (worker) this.fleet.replace(worker)
    else this.#end(true, `restarted ${plural(this.#total, 'worker')}`)
  }

  /** A worker listens, and the one that it replaces is about to go. */
  ready(): void {
    if (this.#state === 'running' && this.#total === 0) this.#end(true, 'the app, which had failed, is ready')
    else this.proceed()
  }

  /** A worker did not come to listen. One that was missing, and was started since, says as much of the new code. */
  failed(worker: WorkerHandle, why: string): void {
    if (this.#total === 0 || worker.replaces || worker.startedAt >= this.#begunAt) this.unstartable(why)
  }

  /** A worker that was wanted could not be had. */
  unstartable(why: string): void {
    if (this.#state !== 'running') return
    const done = this.#total - this.#old.filter(worker => worker.active).length
    this.#end(false, `${why}; ${done} of ${this.#total} workers were restarted, the others are as they were`)
  }

  /** The app goes to rest, or ends: what comes next is new. */
  leave(): void {
    const late = [...this.#waiting.splice(0), ...(this.#next ?? [])]
    this.#next = undefined
    if (this.#state === 'running') this.#end(true, 'the app went to rest meanwhile: the next connection loads it anew')
    this.#state = 'over'
    for (const done of late) done(true, 'it was stopped meanwhile')
  }

  #end(well: boolean, text: string): void {
    this.#state = 'none'
    this.board.write({ restart: text, restartFailed: well ? 0 : 1 })
    this.board.add({ restartsEnded: 1 })
    this.say(well ? text : `restart failed: ${text}`)
    for (const done of this.#waiting.splice(0)) done(!well, text)
    if (this.#next) this.begin()
  }
}

function isReplacement({ state, replaces }: WorkerHandle): boolean {
  return state === 'starting' && replaces !== undefined
}
