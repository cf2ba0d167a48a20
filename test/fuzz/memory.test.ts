/** Fuzzed: what a worker writes into shared memory, and descriptors that come with a message. */
import fs from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { Board, makeBoard } from '../../lib/board.js'
import { posix } from '../../lib/posix.js'
import type { WorkerStats } from '../../lib/slot.js'
import { Stats } from '../../lib/stats.js'
import { plain } from '../../lib/text.js'
import { cleanups } from '../support/lookout.js'
import '../support/fuzz.js'

describe('fuzzed: what a worker writes into shared memory', () => {
  const MOST = Number.MAX_SAFE_INTEGER
  const memory = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes })
  /** Doubles that are odd, at every place. */
  const doubles = (count: number) =>
    fc
      .array(
        fc.oneof(fc.double(), fc.double({ min: -2, max: 300 }), fc.integer(), fc.constantFrom(Number.NaN, 0.5, 64.5)),
        {
          minLength: count,
          maxLength: count,
        },
      )
      .map(list => new Uint8Array(Float64Array.from(list).buffer))

  it('is read as numbers within their limits', () => {
    const stats = new Stats(1)
    const most: Partial<WorkerStats> = { pid: 2 ** 22, accepting: 1, booted: 1, utilization: 1, status: 255 }
    const bytes = new Uint8Array(stats.slot(0).words.buffer)
    fc.assert(
      fc.property(fc.oneof(memory(128), doubles(16)), content => {
        bytes.set(content)
        bytes[0]! &= 0xfe // else it is being written, and what was read before stands
        for (const [name, value] of Object.entries(stats.read(0))) {
          if (name === 'lastActive' && value === Number.POSITIVE_INFINITY) continue
          expect(value, name).to.be.within(0, most[name as keyof WorkerStats] ?? MOST)
        }
        for (const { pid } of stats.all()) expect(pid).to.be.above(0)
      }),
    )
    stats.unmap()
  })

  it('is read from the board as numbers within their limits, and texts that may be shown', () => {
    const fd = makeBoard(1)
    cleanups.push(() => fs.closeSync(fd))
    const board = new Board(fd)
    const mapped = posix.mmap(fd, 2048, posix.PROT_READ | posix.PROT_WRITE)
    const bytes = new Uint8Array(mapped)
    const content = fc.oneof(
      memory(2048),
      fc.tuple(doubles(80), memory(1408)).map(([one, other]) => new Uint8Array([...one, ...other])),
    )
    const inLimits = (value: number | undefined, name: string) => expect(value, name).to.be.within(0, MOST)
    fc.assert(
      fc.property(content, content => {
        bytes.set(content)
        bytes[0]! &= 0xfe
        const { why, bootError, restart, firstRequest, ...numbers } = board.read()
        for (const [name, value] of Object.entries(numbers)) inLimits(value, name)
        for (const [name, value] of Object.entries(firstRequest ?? {})) inLimits(value, name)
        for (const text of [why, bootError, restart]) {
          expect(text.length).to.be.at.most(512)
          expect(text).to.equal(plain(text))
        }
      }),
      { numRuns: 300 },
    )
    posix.unmap(mapped)
  })
})

describe('fuzzed: descriptors that come with a message', () => {
  it('are one at most, and none of the others is left open', () => {
    const free = () => {
      const fd = posix.dup(0, 3)
      posix.close(fd)
      return fd
    }
    const lowest = free()
    fc.assert(
      fc.property(fc.array(fc.nat(250), { minLength: 1, maxLength: 3 }), messages => {
        const [one, other] = posix.socketpair()
        const byte = Buffer.alloc(1)
        for (const count of messages) posix.send(one, Buffer.of(count), Array<number>(count).fill(0))
        posix.close(one)
        for (const count of messages) {
          const [length, fd] = posix.receive(other, byte)
          expect([length, fd >= 0, byte[0]]).to.deep.equal([1, count > 0, count])
          if (fd >= 0) posix.close(fd)
        }
        expect(posix.receive(other, byte)).to.deep.equal([0, -1])
        posix.close(other)
        expect(free()).to.equal(lowest)
      }),
      { numRuns: 50 },
    )
  })
})
