/**
 * A pool in a process of somebody else's: what a Cluster and a Prefork are made of. It reads no argv, takes no signals and
 * never ends the process; when that dies, so do the workers.
 */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type BindOptions, bind, release } from './bind.js'
import { Board, makeBoard } from './board.js'
import { FOREVER } from './clock.js'
import { type AppConfig, encode } from './config.js'
import { workerEnvironment } from './environment.js'
import { Failure, Misuse } from './errors.js'
import type { Hooks } from './hooks.js'
import { Pool } from './pool.js'
import { posix } from './posix.js'
import { type Group, groupOf } from './sockets.js'
import type { Launch } from './spawn.js'
import type { WorkerEvent, WorkerHandle } from './worker-handle.js'

/** ms that workers have to hear that they are on their own. */
const DETACH = 1000

/** Listening sockets that are ours to close. */
export interface Listening {
  groups: Group[]
  /** What a client would be told, by group. */
  urls: string[]
  close(): void
}

/** @throws Failure naming the address, the error and who holds it */
export async function listenOn(addresses: Address[], options: BindOptions): Promise<Listening> {
  if (addresses.length === 0) throw new Misuse('cannot listen: there is no address')
  const bound = await bind(addresses, options)
  const sockets = bound.flat() // closed once
  const groups = bound.map(sockets => ({ ...groupOf(sockets[0]!.fd), fds: sockets.map(({ fd }) => fd) }))
  return { groups, urls: bound.map(([first]) => first!.url), close: () => release(sockets.splice(0)) }
}

export class Host {
  readonly pool: Pool
  /** Resolves when nothing of it is left. */
  readonly ended: Promise<void>
  readonly #launch: Launch
  readonly #board = makeBoard(1)
  readonly #ready: Promise<void>
  readonly #detached = new WeakSet<WorkerHandle>()
  #listening: Listening
  #retry: NodeJS.Timeout | undefined
  #reloading: Promise<void> = Promise.resolve()
  #state: 'starting' | 'running' | 'ending' | 'ended' = 'starting'
  #settle!: { resolve(): void; reject(error: Error): void; end(): void }

  /** @param argv how a worker is started: node, its options, the preload, the script and its arguments */
  constructor(
    readonly config: AppConfig,
    argv: string[],
    listening: Listening,
    hooks: Hooks,
  ) {
    this.#listening = listening
    const stdin = fs.openSync('/dev/null', 'r')
    this.#launch = { argv, env: {}, groups: [], stdin, apart: true }
    this.#equip()
    let end = () => {}
    this.ended = new Promise(resolve => {
      end = resolve
    })
    this.#ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject, end }
    })
    const board = new Board(this.#board)
    const events = {
      on: (event: WorkerEvent) => this.#on(event),
      failing: () => this.#tryLater(),
      unstartable: (why: string) => this.#failed(why),
    }
    this.pool = new Pool(config, this.#launch, board, events, hooks)
    board.write({ pid: process.pid, wakes: 1, changedAt: Date.now(), why: 'it never rests' })
  }

  /** What the next workers are started with. */
  #equip(): void {
    const { groups } = this.#listening
    this.#launch.groups = groups
    this.#launch.env = { ...workerEnvironment(process.env, groups), LOOKOUT_APP: encode(this.config) }
  }

  get urls(): string[] {
    return this.#listening.urls
  }

  /**
   * Starts the workers.
   * @throws Failure when the first one does not come to listen; then nothing is left
   */
  start(): Promise<void> {
    this.pool.reconcile()
    return this.#ready
  }

  #on({ type, worker }: WorkerEvent): void {
    if (type === 'detached') this.#detached.add(worker)
    if (type === 'ready' && this.#state === 'starting') {
      this.#state = 'running'
      this.pool.supervise()
      this.#settle.resolve()
    }
    if (type !== 'ended') return
    if (this.#state === 'ending') this.#leave()
    if (this.#state !== 'starting' || worker.readyAt !== undefined) return
    this.#failed(this.pool.board.read().bootError)
  }

  /** The first worker has not come to listen: there will be no other. */
  #failed(why: string): void {
    if (this.#state !== 'starting') return
    this.#settle.reject(new Failure(`cannot start ${this.config.name}: ${why}`))
    void this.stopNow()
  }

  /** It had worked before: who connects waits. */
  #tryLater(): void {
    if (this.#state !== 'running') return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.pool.reconcile(), this.pool.fleet.wait + 10)
  }

  /** Lets everybody finish what they have, for `grace` ms at most. */
  stop(grace = this.config.grace): Promise<void> {
    if (!(grace >= 0)) throw new Misuse(`cannot stop within ${grace} ms: a number from 0 is wanted`)
    if (this.#state === 'ended') return this.ended
    this.#leaveSockets()
    this.pool.end({ grace: Math.min(grace, FOREVER), patience: 0, final: true, cut: false })
    this.#leave()
    return this.ended
  }

  /** Kills them. */
  stopNow(): Promise<void> {
    void this.stop(0)
    for (const worker of this.pool.fleet.all) worker.terminate()
    return this.ended
  }

  /** The workers accept no more, finish what they have, and go, whatever becomes of us; nobody waits for them. */
  async detach(): Promise<void> {
    if (this.#state === 'ended') return
    this.#leaveSockets()
    this.pool.abandon()
    const workers = this.pool.fleet.all
    for (const worker of workers) worker.detach()
    const end = performance.now() + DETACH
    // Until it has read that, a worker would still die with us.
    while (workers.some(worker => worker.alive && !this.#detached.has(worker)) && performance.now() < end)
      await sleep(5)
    this.#close()
  }

  #leaveSockets(): void {
    if (this.#state === 'starting') this.#settle.reject(new Failure(`cannot start ${this.config.name}: it was stopped`))
    if (this.#state !== 'ending') this.#listening.close()
    this.#state = 'ending'
    clearTimeout(this.#retry)
  }

  /** @throws Failure where it does not run */
  #check(): void {
    if (this.#state !== 'running') throw new Failure(`cannot restart ${this.config.name}: it does not run`)
  }

  /**
   * Replaces all workers by such that have another configuration, or other sockets.
   * @throws Failure with the reason; the others then go on as they are
   */
  reload(config: AppConfig, listening?: Listening): Promise<void> {
    const reloading = this.#reloading.then(() => this.#reload(config, listening)) // one after the other
    this.#reloading = reloading.catch(() => {})
    return reloading
  }

  async #reload(config: AppConfig, listening?: Listening): Promise<void> {
    this.#check()
    const before = { config: { ...this.config }, listening: this.#listening }
    this.#become(config, listening ?? before.listening)
    try {
      await this.restart()
    } catch (error) {
      this.#become(before.config, before.listening)
      listening?.close()
      throw error
    }
    if (listening) before.listening.close()
  }

  #become(config: AppConfig, listening: Listening): void {
    this.#listening = listening
    Object.assign(this.config, config)
    this.#equip()
    this.pool.reconfigured()
  }

  /**
   * Replaces all workers, one by one, by such that have loaded the code anew.
   * @throws Failure with the reason; the others then go on as they are
   */
  async restart(): Promise<string> {
    this.#check()
    const { failed, text } = await new Promise<{ failed: boolean; text: string }>(resolve => {
      this.pool.restart.begin((failed, text) => resolve({ failed, text }))
      this.pool.reconcile()
    })
    if (failed) throw new Failure(`cannot restart ${this.config.name}: ${text}`)
    return text
  }

  #leave(): void {
    if (this.pool.fleet.all.length === 0) this.#close()
  }

  #close(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.pool.fleet.close()
    for (const fd of [this.#board, this.#launch.stdin]) posix.close(fd)
    this.#settle.end()
  }
}
