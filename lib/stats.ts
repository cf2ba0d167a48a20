/**
 * Statistics in shared memory: a slot of 64 bytes a worker, which it alone writes and the master reads.
 * Every field is a 64-bit float. What is read here is another process's word: never acted on but as a number.
 *
 * | byte | field    | unit                                                                      |
 * |------|----------|---------------------------------------------------------------------------|
 * | 0    | requests | begun since the worker started                                            |
 * | 8    | active   | ms, monotonic: when it last had work; Infinity while it has               |
 * | 16   | checkin  | ms, monotonic: when its event loop last said so                           |
 * | 24   | connections | open now                                                               |
 * | 32   | accepting | 1 while it takes connections                                             |
 */
import { posix } from './posix.js'

const SLOT = 64
/** As many as native/lookout.c makes room for. */
const SLOTS = 256

export const enum Field {
  requests,
  active,
  checkin,
  connections,
  accepting,
}

export type Slot = Float64Array

export class Stats {
  readonly #memory: ArrayBuffer

  constructor(fd: number) {
    this.#memory = posix.mmap(fd, SLOT * SLOTS)
  }

  slot(index: number): Slot {
    return new Float64Array(this.#memory, index * SLOT, SLOT / 8)
  }
}
