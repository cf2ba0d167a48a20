/** The end of a file that others append to, and put away: whole lines alone. */
import fs from 'node:fs'

/** Bytes that are read at once. */
const PIECE = 1 << 16

/** Bytes at the end of a file in which its last lines are looked for. */
const END = 1 << 20

export class Tail {
  #fd: number | undefined
  #at = 0
  #rest = Buffer.alloc(0)

  constructor(private readonly file: string) {}

  /** The last lines there are. */
  last(count: number): string[] {
    this.#open()
    if (this.#fd === undefined) return []
    const { size } = fs.fstatSync(this.#fd)
    this.#at = Math.max(0, size - END)
    const lines = this.#read()
    const whole = size > END ? lines.slice(1) : lines
    return count === 0 ? [] : whole.slice(-count)
  }

  /** What has come since, in the file and in the one that has taken its place. */
  next(): string[] {
    if (this.#fd === undefined) this.#open()
    if (this.#fd === undefined) return []
    if (fs.fstatSync(this.#fd).size < this.#at) this.#at = 0 // it was cut off
    const lines = this.#read()
    if (!this.#isReplaced()) return lines
    this.#open()
    return [...lines, ...(this.#fd === undefined ? [] : this.#read())]
  }

  #open(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd)
    this.#fd = undefined
    this.#at = 0
    this.#rest = Buffer.alloc(0)
    try {
      this.#fd = fs.openSync(this.file, 'r')
    } catch {
      // It is not there yet.
    }
  }

  #isReplaced(): boolean {
    const now = fs.statSync(this.file, { throwIfNoEntry: false })
    return now !== undefined && now.ino !== fs.fstatSync(this.#fd!).ino
  }

  #read(): string[] {
    const pieces = [this.#rest]
    for (;;) {
      const piece = Buffer.alloc(PIECE)
      const count = fs.readSync(this.#fd!, piece, 0, PIECE, this.#at)
      if (count === 0) break
      this.#at += count
      pieces.push(piece.subarray(0, count))
    }
    const all = Buffer.concat(pieces)
    const end = all.lastIndexOf('\n') + 1
    this.#rest = all.subarray(end)
    return end === 0 ? [] : all.toString('utf8', 0, end - 1).split('\n')
  }
}
