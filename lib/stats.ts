/** The statistics of a pool: a slot a worker, each in memory of its own; see slot.ts. */
import { posix } from './posix.js'
import { makeSlot, Slot, sealSlot, type WorkerStats } from './slot.js'

export { Slot, type WorkerStats } from './slot.js'

/** How many there can be. */
export const SLOTS = 256

export class Stats {
  readonly #slots = new Map<number, { fd: number; slot: Slot; sealed: boolean }>()
  #isUnmapped = false

  /** @param workers how many slots there can be, 256 at most */
  constructor(readonly workers = SLOTS) {
    if (!Number.isInteger(workers) || workers < 1 || workers > SLOTS)
      throw new RangeError(`cannot keep statistics of ${workers} workers: 1 to ${SLOTS} are wanted`)
  }

  /** The descriptor of a slot, which stays ours and a child may inherit: it has it as `new Slot(fd, 'writing')`. */
  fd(index: number): number {
    return this.#of(index).fd
  }

  slot(index: number): Slot {
    return this.#of(index).slot
  }

  /** Takes a slot over that somebody else has made. */
  adopt(index: number, fd: number): void {
    this.clear(index)
    this.#slots.set(index, { fd, slot: new Slot(fd, 'writing'), sealed: false })
  }

  /** Writes several fields so that no reader sees some of them without the others. A slot has one writer. */
  write(index: number, values: Partial<WorkerStats>): void {
    this.slot(index).write(values)
  }

  /** A slot as it was at one moment, every value in the range of its field. */
  read(index: number): WorkerStats {
    return this.slot(index).read()
  }

  /** The slots that are somebody's, by number. */
  all(): ({ index: number } & WorkerStats)[] {
    this.#check(0)
    return [...this.#slots.keys()]
      .sort((a, b) => a - b)
      .map(index => ({ index, ...this.read(index) }))
      .filter(({ pid }) => pid > 0)
  }

  /**
   * A slot's descriptor for those who may read it: from now on nobody can have it for writing who has not yet.
   * @returns undefined where its worker has seen to it that this cannot be
   */
  share(index: number): number | undefined {
    const of = this.#of(index)
    try {
      if (!of.sealed) sealSlot(of.fd)
      of.sealed = true
      return of.fd
    } catch {
      return undefined
    }
  }

  /** Nobody's: what a dead worker left is not shown as if it lived. */
  clear(index: number): void {
    const of = this.#slots.get(index)
    if (!of) return
    of.slot.words.fill(0) // others may have it mapped
    of.slot.unmap()
    posix.close(of.fd)
    this.#slots.delete(index)
  }

  /** Gives the memory and the descriptors back; nothing can be read or written here afterwards. */
  unmap(): void {
    for (const { fd, slot } of this.#slots.values()) {
      slot.unmap()
      posix.close(fd)
    }
    this.#slots.clear()
    this.#isUnmapped = true
  }

  #of(index: number): { fd: number; slot: Slot; sealed: boolean } {
    this.#check(index)
    if (!this.#slots.has(index)) this.adopt(index, makeSlot())
    return this.#slots.get(index)!
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.workers)
      throw new RangeError(`there is no slot ${index}: 0 to ${this.workers - 1} are`)
    if (this.#isUnmapped) throw new Error('the statistics are unmapped')
  }
}
