/**
 * How the apps of one lookout are, as survey.ts says it of everybody's: looked at again and again, so what is opened for it is
 * kept. Looking wakes nobody.
 */
import fs from 'node:fs'
import type { Board } from './board.js'
import { GATEWAY } from './config.js'
import { boardOf, childrenOf, type Instance, instanceOf, mastersOf, openSlots, planOf } from './instances.js'
import type { FoundApp } from './plan.js'
import { posix } from './posix.js'
import type { Slot, WorkerStats } from './slot.js'
import { justWoken, residentOf, type Survey, stateOf } from './survey.js'

/** What is shown of an app. */
export interface Seen extends Pick<Survey, 'name' | 'state' | 'urls' | 'master' | 'workers' | 'rss' | 'record'> {
  /** The names that the gateway has it by. */
  hosts: string[]
}

export class Apps {
  #argv = ''
  #apps: FoundApp[] = []
  readonly #boards = new Map<string, { slot: number; board: Board }>()
  /** The statistics of those that are awake, by the pids of their masters, and of which workers they are. */
  readonly #slots = new Map<number, { of: string; slots: Slot[] }>()

  /** @param own whether the gateway is to be among them */
  constructor(
    private readonly instance: Instance,
    private readonly own = false,
  ) {}

  /** Of the lookout whose gateway this process is. @returns undefined while it cannot be read: it is becoming another */
  static find(): Apps | undefined {
    const instance = instanceOf(parentOf(process.ppid)) // a worker's parent is the master, whose parent is the lookout
    return instance && new Apps(instance)
  }

  /** It has ended. */
  close(): void {
    this.#forget(new Set())
    for (const fd of [this.instance.pidfd, this.instance.boardFd]) posix.close(fd)
  }

  get lookout(): number {
    return this.instance.pid
  }

  look(): Seen[] {
    this.#plan()
    const masters = mastersOf(this.instance)
    this.#forget(new Set(masters.values()))
    return this.#apps.map(app => {
      const { name, urls = [], hosts = [] } = app.config
      const master = masters.get(name)
      const workers = master === undefined ? [] : childrenOf(master)
      const { requests, ...rest } = this.#board(app).read()
      const record = { ...rest, ...justWoken(master, rest), requests: requests + this.#requestsOf(master) }
      const rss = [master ?? [], workers].flat().reduce((sum, pid) => sum + residentOf(pid), 0)
      return { name, state: stateOf(master, workers, record), urls, hosts, master, workers, rss, record }
    })
  }

  /** What it holds changes with its argument vector; in the middle of that there is none. */
  #plan(): void {
    try {
      const argv = fs.readFileSync(`/proc/${this.lookout}/cmdline`, 'latin1')
      const plan = argv === this.#argv ? undefined : planOf(this.lookout)
      if (!plan) return
      this.#argv = argv
      this.#apps = plan.apps.filter(({ config }) => this.own || config.name !== GATEWAY)
    } catch {
      // It has ended, and so are we about to.
    }
  }

  #board(app: FoundApp): Board {
    const { name, slot = 0 } = app.config
    const known = this.#boards.get(name)
    if (known?.slot === slot) return known.board
    const board = boardOf(this.instance, app)
    this.#boards.set(name, { slot, board })
    return board
  }

  /** Its master, while it is awake. */
  master(name: string): number | undefined {
    return mastersOf(this.instance).get(name)
  }

  /** Another text once something was begun or has ended. */
  sign(name: string): string {
    const app = this.#apps.find(({ config }) => config.name === name)
    if (!app) return 'gone'
    const { changedAt, restartsBegun, restartsEnded } = this.#board(app).read()
    return `${this.master(name)} ${changedAt} ${restartsBegun} ${restartsEnded}`
  }

  /** Whether one of its workers takes connections. */
  serves(name: string): boolean {
    const masters = mastersOf(this.instance)
    this.#forget(new Set(masters.values()))
    return this.#statsOf(masters.get(name)).some(({ accepting }) => accepting === 1)
  }

  /** Of workers that live: the board has them once they are gone. */
  #requestsOf(master: number | undefined): number {
    return this.#statsOf(master).reduce((sum, { requests }) => sum + requests, 0)
  }

  #statsOf(master: number | undefined): WorkerStats[] {
    if (master === undefined) return []
    const workers = childrenOf(master).join()
    const known = this.#slots.get(master)
    if (known?.of === workers) return known.slots.map(slot => slot.read())
    for (const slot of known?.slots ?? []) slot.unmap()
    const slots = openSlots(master)
    this.#slots.set(master, { of: workers, slots })
    return slots.map(slot => slot.read())
  }

  #forget(living: Set<number>): void {
    for (const [master, { slots }] of this.#slots) {
      if (living.has(master)) continue
      for (const slot of slots) slot.unmap()
      this.#slots.delete(master)
    }
  }
}

function parentOf(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1])
}
