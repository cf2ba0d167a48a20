/**
 * Statistics in shared memory: a slot of 128 bytes a worker, two cache lines, which it alone writes and everybody reads. A
 * sealed memfd: it cannot be cut off under who has it mapped.
 *
 * | byte | field       | type | unit                                                                        |
 * |------|-------------|------|-----------------------------------------------------------------------------|
 * | 0    | sequence    | u32  | odd while several of the fields below are being written; see {@link Stats.write} |
 * | 4    |             |      | unused                                                                      |
 * | 8    | requests    | f64  | begun since the worker started                                              |
 * | 16   | lastActive  | f64  | ms, monotonic: when it last had work; Infinity while it has                 |
 * | 24   | lastCheckin | f64  | ms, monotonic: when its event loop last said so                             |
 * | 32   | connections | f64  | open now                                                                    |
 * | 40   | accepting   | f64  | 1 while it takes connections                                                |
 * | 48   | accepted    | f64  | connections since the worker started                                        |
 * | 56   | inFlight    | f64  | requests that are being answered, upgraded and raw connections              |
 * | 64   | pid         | f64  |                                                                             |
 * | 72   | startedAt   | f64  | ms, monotonic                                                               |
 * | 80   | booted      | f64  | 1 once the app listens                                                      |
 * | 88   | backlog     | f64  | connections that wait to be accepted, by anybody                            |
 * | 96   | utilization | f64  | 0 to 1: how much of the last second the event loop was busy                 |
 * | 104  | rss         | f64  | bytes                                                                       |
 * | 112  | heap        | f64  | bytes in use by V8                                                          |
 * | 120  | status      | f64  | 0: well; else the highest code that the app gave to unhealthy()             |
 *
 * A slot without a pid is nobody's. Monotonic is CLOCK_MONOTONIC, the same for every process. What is written by one field,
 * for each request or connection, is one aligned word, which is never seen in halves.
 *
 * What is read here is another process's word: a number that is clamped, never acted on but as a number.
 */
import { posix } from './posix.js'

/** Bytes of a slot, and how many there are: as native/lookout.c makes room for. */
const SLOT = 128
export const SLOTS = 256

/** The place of each field, in words of eight bytes. */
export const enum Field {
  requests = 1,
  lastActive,
  lastCheckin,
  connections,
  accepting,
  accepted,
  inFlight,
  pid,
  startedAt,
  booted,
  backlog,
  utilization,
  rss,
  heap,
  status,
}

const FIELDS = [
  'requests',
  'lastActive',
  'lastCheckin',
  'connections',
  'accepting',
  'accepted',
  'inFlight',
  'pid',
  'startedAt',
  'booted',
  'backlog',
  'utilization',
  'rss',
  'heap',
  'status',
] as const

/** What is known of a worker. Units are in the table above; `accepting` and `booted` are 1 or 0. */
export type WorkerStats = Record<(typeof FIELDS)[number], number>

/** A slot as its writer has it: see {@link Field}. */
export type Slot = Float64Array

/** What a pid may be on Linux, at most. */
const MOST: Partial<WorkerStats> = { pid: 2 ** 22, accepting: 1, booted: 1, utilization: 1, status: 255 }

/** How often a slot is read again that is being written: its writer may be stopped, or dead. */
const TRIES = 1000

function clamp(name: keyof WorkerStats, value: number): number {
  if (name === 'lastActive' && value === Number.POSITIVE_INFINITY) return value
  const most = MOST[name] ?? Number.MAX_SAFE_INTEGER
  return value > 0 ? Math.min(value, most) : 0 // NaN is not above 0 either
}

export class Stats {
  readonly #memory: ArrayBuffer
  /** What was read last, by slot. */
  readonly #last = new Map<number, Float64Array>()
  /** The memfd, which a child may inherit. */
  readonly fd: number

  /**
   * @param workers how many slots there are to be, 256 at most
   * @param fd where there is one already, which is mapped and stays the caller's
   */
  constructor(
    readonly workers: number,
    fd?: number,
  ) {
    if (!Number.isInteger(workers) || workers < 1 || workers > SLOTS)
      throw new RangeError(`cannot keep statistics of ${workers} workers: 1 to ${SLOTS} are wanted`)
    this.fd = fd ?? posix.memfd('lookout-stats', SLOT * SLOTS)
    this.#memory = posix.mmap(this.fd, SLOT * SLOTS)
  }

  /** A slot's own memory, for its writer; each element is one word of the table. */
  slot(index: number): Slot {
    this.#check(index)
    return new Float64Array(this.#memory, index * SLOT, SLOT / 8)
  }

  /** Writes several fields so that no reader sees some of them without the others. A slot has one writer. */
  write(index: number, values: Partial<WorkerStats>): void {
    const slot = this.slot(index)
    const sequence = new Int32Array(this.#memory, index * SLOT, 1)
    Atomics.store(sequence, 0, Atomics.load(sequence, 0) | 1)
    for (const [at, name] of FIELDS.entries()) {
      const value = values[name]
      if (value !== undefined) slot[at + 1] = value
    }
    Atomics.add(sequence, 0, 1)
  }

  /**
   * A slot as it was at one moment, every value in the range of its field. While its writer is interrupted in the middle, that
   * is the moment that was read before, or nothing yet.
   */
  read(index: number): WorkerStats {
    const slot = this.slot(index)
    const sequence = new Int32Array(this.#memory, index * SLOT, 1)
    const copy = new Float64Array(SLOT / 8)
    let whole = false
    for (let tries = 0; tries < TRIES && !whole; tries++) {
      const before = Atomics.load(sequence, 0)
      copy.set(slot)
      whole = before % 2 === 0 && Atomics.load(sequence, 0) === before
    }
    if (whole) this.#last.set(index, copy)
    else copy.fill(0).set(this.#last.get(index) ?? [])
    return Object.fromEntries(FIELDS.map((name, at) => [name, clamp(name, copy[at + 1]!)])) as WorkerStats
  }

  /** The slots that are somebody's, by number. */
  all(): ({ index: number } & WorkerStats)[] {
    return Array.from({ length: this.workers }, (_, index) => ({ index, ...this.read(index) })).filter(
      ({ pid }) => pid > 0,
    )
  }

  /** Nobody's: what a dead worker left is not shown as if it lived. */
  clear(index: number): void {
    this.slot(index).fill(0)
    this.#last.delete(index)
  }

  /** Gives the memory back; nothing can be read or written here afterwards. The descriptor stays open. */
  unmap(): void {
    posix.unmap(this.#memory)
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.workers)
      throw new RangeError(`there is no slot ${index}: 0 to ${this.workers - 1} are`)
    if (this.#memory.byteLength === 0) throw new Error('the statistics are unmapped')
  }
}
