/**
 * What becomes of an app's addresses while it fails: somebody answers in its place, and a connection that comes when another try
 * is due waits for that. The stand-in is loaded with the first failure: most apps have none.
 */
import type { Failing } from './page.js'
import type { Group } from './sockets.js'
import type { StandIn } from './stand-in.js'

export interface FailingHooks {
  /** Somebody connects: whether another try is made, for which the connection waits. */
  tries(): boolean
  /** What to say, asked for each request. */
  failing(): Failing
}

export class FailingApp {
  #standIn: StandIn | undefined

  /** @param hosts the names for which the gateway hands it connections */
  constructor(
    private readonly groups: Group[],
    private readonly hosts: string[] | undefined,
    private readonly hooks: FailingHooks,
  ) {}

  /** Whether there is somebody who answers, or finishes doing so. */
  get isAnswered(): boolean {
    return this.#standIn !== undefined
  }

  answer(): void {
    if (this.#standIn) return this.#standIn.start()
    const { StandIn } = require('./stand-in.js') as typeof import('./stand-in.js')
    const hooks = { admit: () => !this.hooks.tries(), failing: () => this.hooks.failing() }
    this.#standIn = new StandIn(this.groups, hooks, this.hosts)
  }

  /** Leaves connections in the queue. */
  pause(): void {
    this.#standIn?.stop()
  }

  /** The app serves: what is being answered is finished, and nobody waits for that. */
  recover(): void {
    const standIn = this.#standIn
    this.#standIn = undefined
    standIn?.stop()
    void standIn?.close()
  }

  /** @param done called once all that was begun is answered; never where there was nobody to answer */
  end(done: () => void): void {
    this.#standIn?.stop()
    void this.#standIn?.close().then(() => {
      this.#standIn = undefined
      done()
    })
  }
}
