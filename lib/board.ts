/**
 * The board: what is known of an app that outlives its masters, in shared memory. A slot of 2,048 bytes an app, made with the
 * listening sockets, written by the app's master alone (there is one at a time) and read by whoever is asked about the app.
 *
 * | byte | field           | type     | unit                                                                    |
 * |------|-----------------|----------|-------------------------------------------------------------------------|
 * | 0    | sequence        | u32      | odd while the slot is being written                                     |
 * | 8    | pid             | f64      | of the master; 0: at rest                                               |
 * | 16   | wakes           | f64      | masters that were started                                               |
 * | 24   | failures        | f64      | workers that ended unasked or never listened, and masters that were killed |
 * | 32   | requests        | f64      | served by workers that are gone                                         |
 * | 40   | changedAt       | f64      | ms since 1970: when it woke, or went to rest                            |
 * | 48   | restartsBegun   | f64      |                                                                         |
 * | 56   | restartsEnded   | f64      |                                                                         |
 * | 64   | restartFailed   | f64      | 1: the last one did                                                     |
 * | 72   | latencies       | f64      | how many first requests were answered                                   |
 * | 128  | latency         | 64 x f64 | ms from the wake to the first answer: the last 64, in a ring            |
 * | 640  | why             | 256      | why it is awake; at rest, why it went to rest: UTF-8, padded with zeros |
 * | 896  | bootError       | 512      | why the app last failed to start                                        |
 * | 1408 | restart         | 512      | how the last restart went                                               |
 *
 * As in slot.ts, what is read is another process's word and never acted on but as a number or a text to be shown.
 */
import { posix } from './posix.js'
import { plain } from './text.js'

const SLOT = 2048
const RING = 64
const RING_AT = 128 / 8

const NUMBERS = {
  pid: 1,
  wakes: 2,
  failures: 3,
  requests: 4,
  changedAt: 5,
  restartsBegun: 6,
  restartsEnded: 7,
  restartFailed: 8,
  latencies: 9,
} as const

const TEXTS = { why: [640, 256], bootError: [896, 512], restart: [1408, 512] } as const

type Entry = Record<keyof typeof NUMBERS, number> & Record<keyof typeof TEXTS, string>

export interface Latency {
  /** ms from the wake to the first answer. */
  last: number
  median: number
  p99: number
}

/** What is known of an app; `firstRequest` once one was answered. */
export type AppRecord = Omit<Entry, 'latencies'> & { firstRequest?: Latency }

const TRIES = 1000

/** Bytes of a board for that many apps. */
const size = (apps: number) => apps * SLOT

/** A new board, as a descriptor. */
export function makeBoard(apps: number): number {
  const fd = posix.memfd('lookout', size(apps))
  posix.seal(fd, 0)
  return fd
}

export class Board {
  readonly #sequence: Int32Array
  readonly #numbers: Float64Array
  readonly #bytes: Buffer
  #isLeft = false

  /** @param fd a board's, which is mapped and stays the caller's */
  constructor(fd: number, app = 0) {
    const memory = posix.mmap(fd, size(app + 1), posix.PROT_READ | posix.PROT_WRITE)
    this.#sequence = new Int32Array(memory, app * SLOT, 1)
    this.#numbers = new Float64Array(memory, app * SLOT, SLOT / 8)
    this.#bytes = Buffer.from(memory, app * SLOT, SLOT)
  }

  /** Changes several fields at once: no reader sees some of them without the others. */
  write(values: Partial<Omit<Entry, 'latencies'>> & { latency?: number }): void {
    if (this.#isLeft) return
    Atomics.store(this.#sequence, 0, Atomics.load(this.#sequence, 0) | 1)
    for (const [name, value] of Object.entries(values)) {
      if (name in NUMBERS) this.#numbers[NUMBERS[name as keyof typeof NUMBERS]] = value as number
      if (name in TEXTS) this.#setText(name as keyof typeof TEXTS, value as string)
    }
    if (values.latency !== undefined) {
      this.#numbers[RING_AT + (this.#number('latencies') % RING)] = values.latency
      this.#numbers[NUMBERS.latencies]!++
    }
    Atomics.add(this.#sequence, 0, 1)
  }

  /** The slot has another writer from now on: nothing of what we would say goes into it. */
  leave(): void {
    this.#isLeft = true
  }

  /** Makes the slot another app's. */
  clear(): void {
    Atomics.store(this.#sequence, 0, Atomics.load(this.#sequence, 0) | 1)
    this.#bytes.fill(0, 8)
    Atomics.add(this.#sequence, 0, 1)
  }

  /** Adds to counters. */
  add(counts: Partial<Record<'wakes' | 'failures' | 'requests' | 'restartsBegun' | 'restartsEnded', number>>): void {
    const names = Object.keys(counts) as (keyof typeof counts)[]
    this.write(Object.fromEntries(names.map(name => [name, this.#number(name) + counts[name]!])))
  }

  /** The slot as it was at one moment. */
  read(): AppRecord {
    for (let tries = 1; ; tries++) {
      const before = Atomics.load(this.#sequence, 0)
      const record = this.#read()
      // Who wrote it may have died meanwhile.
      if (tries === TRIES || (before % 2 === 0 && Atomics.load(this.#sequence, 0) === before)) return record
    }
  }

  #read(): AppRecord {
    const { latencies, ...numbers } = Object.fromEntries(
      Object.keys(NUMBERS).map(name => [name, this.#number(name as keyof typeof NUMBERS)]),
    ) as Record<keyof typeof NUMBERS, number>
    const texts = Object.fromEntries(
      Object.keys(TEXTS).map(name => [name, this.#text(name as keyof typeof TEXTS)]),
    ) as Record<keyof typeof TEXTS, string>
    return { ...numbers, ...texts, ...(latencies > 0 && { firstRequest: this.#latency(latencies) }) }
  }

  #latency(count: number): Latency {
    const ring = this.#numbers.slice(RING_AT, RING_AT + Math.min(count, RING)).map(clamp)
    const last = ring[(count - 1) % RING]!
    const sorted = ring.sort()
    const quantile = (part: number) => sorted[Math.ceil(part * sorted.length) - 1]!
    return { last, median: quantile(0.5), p99: quantile(0.99) }
  }

  /** All of them are whole: they count, or are places in the ring. */
  #number(name: keyof typeof NUMBERS): number {
    return Math.floor(clamp(this.#numbers[NUMBERS[name]]!))
  }

  #text(name: keyof typeof TEXTS): string {
    const [at, length] = TEXTS[name]
    const end = this.#bytes.indexOf(0, at)
    return plain(this.#bytes.toString('utf8', at, end < 0 ? at + length : Math.min(end, at + length)))
  }

  #setText(name: keyof typeof TEXTS, text: string): void {
    const [at, length] = TEXTS[name]
    this.#bytes.fill(0, at, at + length)
    this.#bytes.write(text.replaceAll('\0', ' '), at, length - 1) // never half a character
  }
}

function clamp(value: number): number {
  return value > 0 ? Math.min(value, Number.MAX_SAFE_INTEGER) : 0
}
