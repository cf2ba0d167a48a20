/**
 * A worker's statistics in shared memory: its slot, 128 bytes, which it alone writes, its master and the other workers read, and
 * whoever asks. A sealed memfd of its own: it cannot be cut off under who has it mapped, and once the worker is ready nobody else
 * can have it for writing.
 *
 * | byte | field       | type | unit                                                                        |
 * |------|-------------|------|-----------------------------------------------------------------------------|
 * | 0    | sequence    | u32  | odd while several of the fields below are being written; see {@link Slot.write} |
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

/** Bytes of a slot: native/wake.h makes worker 0's. */
const SIZE = 128

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
export type Words = Float64Array

/** What a pid may be on Linux, at most. */
const MOST: Partial<WorkerStats> = { pid: 2 ** 22, accepting: 1, booted: 1, utilization: 1, status: 255 }

/** How often a slot is read again that is being written: its writer may be stopped, or dead. */
const TRIES = 1000

function clamp(name: keyof WorkerStats, value: number): number {
  if (name === 'lastActive' && value === Number.POSITIVE_INFINITY) return value
  const most = MOST[name] ?? Number.MAX_SAFE_INTEGER
  return value > 0 ? Math.min(value, most) : 0 // NaN is not above 0 either
}

/** A new slot, as a descriptor that a worker may inherit. */
export function makeSlot(): number {
  return posix.memfd('lookout-stats', SIZE)
}

export class Slot {
  /** Its memory; each element is one word of the table. */
  readonly words: Words
  readonly #sequence: Int32Array
  /** What was read last. */
  readonly #last = new Float64Array(SIZE / 8)

  /**
   * @param fd of {@link makeSlot}, which is mapped and stays the caller's
   * @param access who has it for reading must not write to it: that would be the end of the process
   */
  constructor(fd: number, access: 'reading' | 'writing') {
    const memory = posix.mmap(fd, SIZE, access === 'reading' ? posix.PROT_READ : posix.PROT_READ | posix.PROT_WRITE)
    this.words = new Float64Array(memory)
    this.#sequence = new Int32Array(memory, 0, 1)
  }

  /** Writes several fields so that no reader sees some of them without the others. A slot has one writer. */
  write(values: Partial<WorkerStats>): void {
    Atomics.store(this.#sequence, 0, Atomics.load(this.#sequence, 0) | 1)
    for (const [at, name] of FIELDS.entries()) {
      const value = values[name]
      if (value !== undefined) this.words[at + 1] = value
    }
    Atomics.add(this.#sequence, 0, 1)
  }

  /**
   * The slot as it was at one moment, every value in the range of its field. While its writer is interrupted in the middle, and
   * once it is unmapped, that is the moment that was read before, or nothing yet.
   */
  read(): WorkerStats {
    const copy = new Float64Array(SIZE / 8)
    let whole = false
    for (let tries = 0; tries < TRIES && !whole && this.words.length > 0; tries++) {
      const before = Atomics.load(this.#sequence, 0)
      copy.set(this.words)
      whole = before % 2 === 0 && Atomics.load(this.#sequence, 0) === before
    }
    if (whole) this.#last.set(copy)
    return Object.fromEntries(FIELDS.map((name, at) => [name, clamp(name, this.#last[at + 1]!)])) as WorkerStats
  }

  /** Gives the memory back: nothing can be written afterwards. */
  unmap(): void {
    if (this.words.length > 0) posix.unmap(this.words.buffer as ArrayBuffer)
  }
}

/**
 * From now on nobody can have it for writing who has not yet.
 * @throws the system's error: EPERM where that was done before
 */
export function sealSlot(fd: number): void {
  posix.seal(fd, posix.F_SEAL_FUTURE_WRITE)
}
