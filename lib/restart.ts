/**
 * A phased restart: worker after worker, a new one first, which loads the code anew; the old one goes only when the new one is
 * ready. If one does not come to be, the others stay as they are.
 */
import type { Board } from './board.js'
import type { Fleet } from './fleet.js'
import type { WorkerHandle } from './worker-handle.js'

type Done = (failed: boolean, text: string) => void

export class Restart {
  #state: 'none' | 'running' | 'again' = 'none'
  #old: WorkerHandle[] = []
  #total = 0
  /** Who waits for this one's end, and who for that of the next. */
  #waiting: Done[] = []
  #later: Done[] = []

  /** @param say gets what a person wants to know of it */
  constructor(
    private readonly fleet: Fleet,
    private readonly board: Board,
    private readonly say: (text: string) => void,
  ) {}

  get isRunning(): boolean {
    return this.#state !== 'none'
  }

  /**
   * Begins; one that is asked for meanwhile comes after it.
   * @param done called once it has ended
   */
  begin(done?: Done): void {
    if (done) this.#later.push(done)
    if (this.isRunning) {
      this.#state = 'again'
      return
    }
    this.#waiting = this.#later.splice(0)
    this.#state = 'running'
    this.#old = this.fleet.active
    this.#total = this.#old.length
    this.board.add({ restartsBegun: 1 })
    this.say('restarts')
    this.next()
  }

  /** Something has changed: goes on where it can. Without any worker, the app failed: then the next one decides. */
  next(): void {
    if (!this.isRunning) return
    this.#old = this.#old.filter(worker => worker.active)
    const [worker] = this.#old
    if (this.#total === 0) this.fleet.retryNow()
    else if (!worker) this.#end(true, `restarted ${this.#total} worker${this.#total === 1 ? '' : 's'}`)
    else this.fleet.replace(worker)
  }

  /** A worker listens. */
  ready(worker: WorkerHandle): void {
    if (this.#total === 0 && this.isRunning) this.#end(true, 'the app, which had failed, is ready')
    else if (worker.replaces) this.next()
  }

  /** A worker ended before it listened, which is what a new one must not do. */
  failed(worker: WorkerHandle, why: string): void {
    if (!this.isRunning || (worker.replaces !== this.#old[0] && this.#total > 0)) return
    const done = this.#total - this.#old.length
    this.#end(false, `${why}; ${done} of ${this.#total} workers were restarted, the others are as they were`)
  }

  /** The app goes to rest, or ends: what comes next is new. */
  leave(): void {
    if (this.isRunning) this.#end(true, 'the app went to rest meanwhile: the next connection loads it anew')
  }

  #end(well: boolean, text: string): void {
    const again = this.#state === 'again'
    this.#state = 'none'
    this.board.write({ restart: text, restartFailed: well ? 0 : 1 })
    this.board.add({ restartsEnded: 1 })
    this.say(well ? text : `restart failed: ${text}`)
    for (const done of this.#waiting.splice(0)) done(!well, text)
    if (again) this.begin()
  }
}
