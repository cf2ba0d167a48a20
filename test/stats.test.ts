/** Statistics in shared memory: stats.ts and board.ts, by themselves. */
import fs from 'node:fs'
import { expect } from 'chai'
import { Board, makeBoard } from '../lib/board.js'
import { posix } from '../lib/posix.js'
import { Field, Slot } from '../lib/slot.js'
import { Stats } from '../lib/stats.js'
import { Tenure } from '../lib/tenure.js'
import { cleanups } from './support/lookout.js'
import { readWhileWritten } from './support/torn.js'

describe('stats', () => {
  let stats: Stats

  beforeEach(() => {
    stats = new Stats(4)
    cleanups.push(() => stats.unmap())
  })

  it('are read as they were written, slot by slot', () => {
    const values = { pid: 77, requests: 5, backlog: 3, startedAt: 1000.5, lastCheckin: 2000, booted: 1 }
    stats.write(2, values)
    expect(stats.read(2)).to.include(values)
    expect(stats.all().map(({ index, pid }) => [index, pid])).to.deep.equal([[2, 77]])
    stats.write(2, { requests: 6 })
    expect(stats.read(2)).to.include({ ...values, requests: 6 })
    stats.clear(2)
    expect(stats.all()).to.deep.equal([])
  })

  it('are slots of 128 bytes, with every field where the table says', () => {
    stats.write(1, { requests: 1, pid: 2, status: 3 })
    const { words } = stats.slot(1)
    expect(words).to.have.length(128 / 8)
    expect([words[1], words[8], words[15]]).to.deep.equal([1, 2, 3])
  })

  it('never show half of what is written: 1,000,000 reads against a writer', async () => {
    const { torn, seen } = await readWhileWritten(stats, 1_000_000)
    expect(torn).to.equal(0)
    expect(seen).to.be.above(1000)
  }).timeout(60_000)

  it("are nobody's while they were never seen whole, and whole again with the next that is written", () => {
    const own = new Slot(stats.fd(0), 'reading')
    stats.write(0, { pid: 5 })
    new Int32Array(stats.slot(0).words.buffer, 0, 1)[0] = 7 // its writer died in the middle
    expect(own.read().pid).to.equal(0)
    stats.write(0, { pid: 6 })
    expect(own.read().pid).to.equal(6)
  })

  it('stay as they were while their writer is stopped in the middle', () => {
    stats.write(0, { requests: 1, rss: 1 })
    expect(stats.read(0)).to.include({ requests: 1, rss: 1 })
    new Int32Array(stats.slot(0).words.buffer, 0, 1)[0]!++
    stats.slot(0).words[Field.requests] = 2
    expect(stats.read(0)).to.include({ requests: 1, rss: 1 })
    stats.write(0, { rss: 2 })
    expect(stats.read(0)).to.include({ requests: 2, rss: 2 })
  })

  it('are clamped, whatever a worker wrote', () => {
    const { words: slot } = stats.slot(3)
    for (const [field, wrote, read] of [
      [Field.pid, -1, 0],
      [Field.pid, 1e300, 2 ** 22],
      [Field.requests, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER],
      [Field.requests, Number.NaN, 0],
      [Field.utilization, 17, 1],
      [Field.status, 1e9, 255],
      [Field.connections, -5, 0],
    ] as const) {
      slot[field] = wrote
      const names = [
        '',
        'requests',
        'lastActive',
        'lastCheckin',
        'connections',
        'accepting',
        'accepted',
        'inFlight',
        'pid',
      ]
      const name = names[field] ?? { [Field.utilization]: 'utilization', [Field.status]: 'status' }[field as number]
      expect(stats.read(3)[name as 'pid'], `${name} ${wrote}`).to.equal(read)
    }
  })

  it('refuse what is no slot, and what is unmapped', () => {
    expect(() => new Stats(0)).to.throw(RangeError, 'cannot keep statistics of 0 workers: 1 to 256 are wanted')
    expect(() => new Stats(257)).to.throw(RangeError)
    for (const index of [-1, 4, 1.5]) expect(() => stats.read(index)).to.throw(RangeError, `there is no slot ${index}`)
    const own = new Stats(1)
    own.unmap()
    expect(() => own.read(0)).to.throw('the statistics are unmapped')
  })

  it('are as they were read last once a slot is unmapped', () => {
    stats.write(0, { pid: 5, requests: 7 })
    const slot = stats.slot(0)
    expect(slot.read()).to.include({ pid: 5, requests: 7 })
    stats.clear(0)
    expect(slot.read()).to.include({ pid: 5, requests: 7 })
    expect(stats.read(0).pid, 'another of that number').to.equal(0)
  })

  it('are sealed: nobody can cut them off', () => {
    expect(() => fs.ftruncateSync(stats.fd(0), 0)).to.throw('EPERM')
  })

  it('that are shared can be had for reading alone, and go on to be written by who had them before', () => {
    const shared = stats.share(0)!
    expect(() => new Slot(shared, 'writing')).to.throw('mmap: Operation not permitted')
    expect(() => fs.writeSync(shared, 'x', 0)).to.throw('EPERM')
    const reader = new Slot(shared, 'reading')
    stats.write(0, { pid: 5 })
    expect(reader.read().pid).to.equal(5)
    expect(stats.share(0)).to.equal(shared)
  })

  it("are nobody's to who reads them, once they are cleared", () => {
    const reader = new Slot(stats.share(0)!, 'reading')
    stats.write(0, { pid: 5 })
    expect(reader.read().pid).to.equal(5)
    stats.clear(0)
    expect(reader.read().pid).to.equal(0)
  })

  it('that cannot be sealed are not shared', () => {
    posix.seal(stats.fd(0), 0)
    expect(stats.share(0)).to.equal(undefined)
  })
})

describe('the board', () => {
  let fd: number
  let board: Board

  beforeEach(() => {
    fd = makeBoard(2)
    board = new Board(fd, 1)
    cleanups.push(() => fs.closeSync(fd))
  })

  it('keeps what is said of an app, for every other reader', () => {
    board.write({ pid: 4, why: 'rests in 3 s', bootError: 'no such module', changedAt: 5 })
    board.add({ wakes: 1, failures: 2 })
    board.add({ wakes: 1 })
    const other = new Board(fd, 1)
    expect(other.read()).to.include({ pid: 4, why: 'rests in 3 s', bootError: 'no such module', wakes: 2, failures: 2 })
    expect(new Board(fd, 0).read()).to.include({ pid: 0, wakes: 0, why: '' })
  })

  it('tells the last, the median and the 99th percentile of the last 64 first requests', () => {
    expect(board.read()).not.to.have.property('firstRequest')
    for (const latency of [30, 10, 20]) board.write({ latency })
    expect(board.read().firstRequest).to.deep.equal({ last: 20, median: 20, p99: 30 })
    for (let latency = 1; latency <= 100; latency++) board.write({ latency })
    expect(board.read().firstRequest).to.deep.equal({ last: 100, median: 68, p99: 100 })
  })

  it('has of a master the first answer alone, of whichever worker', () => {
    const tenure = new Tenure(board, 1000)
    for (const at of [1030, 5000]) tenure.answered(at)
    expect(board.read().firstRequest).to.deep.equal({ last: 30, median: 30, p99: 30 })
  })

  it('cuts a text that is too long between two characters', () => {
    board.write({ why: '€'.repeat(1000), restart: 'untouched' })
    expect(board.read().why).to.equal('€'.repeat(85))
    expect(board.read().restart).to.equal('untouched')
    board.write({ why: 'a\0b' })
    expect(board.read().why).to.equal('a b')
  })
})
