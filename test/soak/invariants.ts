/** What must hold at any time, and what at rest. */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { boardOf, instanceOf } from '../../lib/instances.js'
import { posix } from '../../lib/posix.js'
import { leftovers } from '../support/hooks.js'
import { inodesOf, listening, ticks } from '../support/kernel.js'
import { childrenOf, until } from '../support/lookout.js'
import { Violation } from './clients.js'
import type { Subject } from './subject.js'

/** ms that a process which is ending may take. */
const PATIENCE = 5000

/** ms of a drain: --grace, and a second. */
const GRACE = 11_000

/** kB by which a resting process may grow: what it allocates is freed, but a page may be left in two. */
const SLACK = 60

const COUNTERS = ['wakes', 'failures', 'requests'] as const

type Counters = Record<(typeof COUNTERS)[number], number>

interface Resting {
  fds: number
  sockets: number
  anonymous: number
}

async function holds(subject: Subject, what: string, condition: () => boolean, deadline: number): Promise<void> {
  await until(what, condition, deadline).catch(error => {
    throw new Violation(`${error.message}\n${subject.tail()}`)
  })
}

export class Invariants {
  #counters = new Map<string, Counters>()
  /** What it had when it first rested, by the number of its apps. */
  readonly #resting = new Map<number, Resting>()
  #pid = 0

  constructor(private readonly subject: Subject) {}

  /** While clients ask. */
  async check(): Promise<void> {
    const { subject } = this
    await holds(subject, 'one master an app, but for those that leave', () => this.#doubles().length === 0, PATIENCE)
    await holds(subject, 'no zombies', () => this.#zombies().length === 0, PATIENCE)
    this.#checkCounters()
    this.#checkStatistics()
  }

  /** Apps with two masters that have not said that they end. */
  #doubles(): string[] {
    const { awake, masters, model } = this.subject
    const staying = awake.filter(pid => !model.hasEnded(pid)).map(pid => masters.get(pid)!)
    return staying.filter((name, index) => staying.indexOf(name) !== index)
  }

  #zombies(): number[] {
    const parents = new Set([this.subject.lookout.pid, ...this.subject.tree])
    return fs.readdirSync('/proc').flatMap(name => {
      if (!/^\d+$/.test(name)) return []
      try {
        const [, state, parent] = /\) (\S) (\d+) /.exec(fs.readFileSync(`/proc/${name}/stat`, 'latin1')) ?? []
        return state === 'Z' && parents.has(Number(parent)) ? [Number(name)] : []
      } catch {
        return [] // gone
      }
    })
  }

  #checkCounters(): void {
    const { subject } = this
    const { pid } = subject.lookout
    if (pid !== this.#pid) this.#counters = new Map()
    this.#pid = pid
    const instance = instanceOf(pid)
    if (!instance) return // in the middle of an exec
    const counters = new Map<string, Counters>()
    for (const app of instance.apps) {
      const { name } = app.config
      const { wakes, failures, requests } = boardOf(instance, app).read()
      const now = { wakes, failures, requests }
      const before = this.#counters.get(name)
      const back = before && COUNTERS.find(counter => now[counter] < before[counter])
      if (back) throw new Violation(`the board of ${name}: ${back} was ${before[back]}, is ${now[back]}`)
      counters.set(name, now)
    }
    this.#counters = counters
    for (const fd of [instance.pidfd, instance.boardFd]) posix.close(fd)
  }

  #checkStatistics(): void {
    const { statsFile } = this.subject
    if (!fs.existsSync(statsFile)) return
    const text = fs.readFileSync(statsFile, 'utf8')
    try {
      JSON.parse(text)
    } catch {
      throw new Violation(`${statsFile} is no JSON: ${text}`)
    }
  }

  /** Once nobody asks. Nobody is asked, either: the clients have been told to pause. */
  async atRest(): Promise<void> {
    const { subject } = this
    const { lookout, kind, folder } = subject
    await holds(
      subject,
      'its apps rest',
      () => subject.awake.every(pid => subject.masters.get(pid) === 'lookout'),
      30_000,
    )
    if (kind === 'up') await folder.start('rest', 'lookout') // that of the gateway is its own
    await holds(subject, 'nothing but lookout', () => childrenOf(lookout.pid).length === 0, GRACE)
    await holds(subject, 'no zombies', () => this.#zombies().length === 0, PATIENCE)
    await this.#checkResting()
    await folder.start('ls') // who asks removes what killed ones have left
    this.#checkFiles()
    this.#checkCounters()
  }

  async #checkResting(): Promise<void> {
    const { subject } = this
    const { pid } = subject.lookout
    await sleep(50) // it says that it rests, and waits
    const before = ticks(pid)
    const inodes = listening()
    const now: Resting = {
      fds: fs.readdirSync(`/proc/${pid}/fd`).length,
      sockets: inodesOf(pid).filter(inode => inodes.has(inode)).length,
      anonymous: Number(/^Anonymous:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))![1]),
    }
    const first = this.#resting.get(subject.handed.length)
    if (!first) return void this.#resting.set(subject.handed.length, now)
    const same = now.fds === first.fds && now.sockets === first.sockets && now.anonymous <= first.anonymous + SLACK
    const text = `at rest it had ${JSON.stringify(first)}, now ${JSON.stringify(now)}`
    if (!same) throw new Violation(`${text}\n${this.#descriptors(pid)}\n${subject.tail()}`)
    await sleep(200)
    if (ticks(pid) > before + 1) throw new Violation(`at rest it uses the processor\n${subject.tail()}`)
  }

  #descriptors(pid: number): string {
    const folder = `/proc/${pid}/fd`
    return fs
      .readdirSync(folder)
      .map(fd => `${fd} ${fs.readlinkSync(path.join(folder, fd))}`)
      .join('\n')
  }

  #checkFiles(): void {
    const { subject } = this
    const { pid } = subject.lookout
    const runtime = fs.readdirSync(path.join(subject.folder.runtime, 'lookout')).sort()
    const wanted = [`${pid}`, ...subject.handed.map(name => `${name}.${pid}`)].sort()
    if (`${runtime}` !== `${wanted}`) throw new Violation(`in the runtime directory: ${runtime}; not ${wanted}`)
    nothingIn(subject.temporary)
    const strange = fs.readdirSync(subject.folder.path).filter(name => /^stats\.json\.|\.sock/.test(name))
    const known = subject.hasExtra ? ['extra.sock', 'extra.sock.lock'] : []
    const more = strange.filter(name => !known.includes(name))
    if (more.length > 0) throw new Violation(`left in its folder: ${more}`)
  }

  /** When lookout has ended for good. */
  ended(): void {
    const { folder, temporary, statsFile } = this.subject
    nothingIn(path.join(folder.runtime, 'lookout'))
    nothingIn(temporary)
    const left = fs.readdirSync(folder.path).filter(name => /^stats\.json|\.sock/.test(name))
    if (left.length > 0) throw new Violation(`left in its folder: ${left}; ${statsFile}`)
  }
}

function nothingIn(folder: string): void {
  const left = fs.readdirSync(folder)
  if (left.length > 0) throw new Violation(`left in ${folder}: ${left}`)
}

/** Processes of ours whose forebears are not. @param roots whose descendants may be there */
export function strays(roots: number[]): string[] {
  const known = new Set(roots)
  const isKnown = (pid: number): boolean => {
    for (let at = pid; at > 1; at = parentOf(at)) if (known.has(at)) return true
    return false
  }
  return leftovers().filter(line => !isKnown(Number.parseInt(line, 10)))
}

function parentOf(pid: number): number {
  try {
    return Number(/\) \S (\d+) /.exec(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1])
  } catch {
    return process.pid // gone
  }
}

/** Of lookout's in shared memory. */
export function shared(): string[] {
  return fs.readdirSync('/dev/shm').filter(name => name.includes('lookout'))
}
