/** The pool's policies, which are handed the clock: no process, no waiting. */
import { expect } from 'chai'
import { due } from '../lib/limits.js'
import { type Member, Scaling } from '../lib/scaling.js'
import type { WorkerStats } from '../lib/stats.js'
import { looksFor, saysFor, silenceFor, Watchdog } from '../lib/watchdog.js'

function stats(values: Partial<WorkerStats> = {}): WorkerStats {
  return {
    accepted: 0,
    requests: 0,
    connections: 0,
    inFlight: 0,
    utilization: 0,
    startedAt: 0,
    rss: 0,
    status: 0,
    ...values,
  } as WorkerStats
}

const worker = (values: Partial<WorkerStats> = {}): Member => ({ ready: true, stats: stats(values) })
const booting: Member = { ready: false, stats: stats() }

describe('scaling policy', () => {
  const pool = { workers: { least: 1, most: 4 }, maxConnections: 10, standby: 5, maxIdle: 1000 }

  it('starts as many as there is room missing for --standby, never above MAX', () => {
    const start = (members: Member[], options = pool) => new Scaling(options, 0).decide(members, 0, 0).start
    expect(start([worker({ connections: 5 })])).to.equal(0)
    expect(start([worker({ connections: 6 })])).to.equal(1)
    expect(start([worker({ connections: 10 })], { ...pool, standby: 25 })).to.equal(3)
    expect(start([worker({ connections: 10 })], { ...pool, standby: 90 })).to.equal(3)
    expect(start(Array(4).fill(worker({ connections: 10 })))).to.equal(0)
  })

  it('counts on those that boot', () => {
    expect(new Scaling(pool, 0).decide([worker({ connections: 10 }), booting], 0, 0).start).to.equal(0)
  })

  it('starts one for who waits, when nobody has room', () => {
    const none = { ...pool, standby: 0 }
    expect(new Scaling(none, 0).decide([worker({ connections: 10 })], 0, 0).start).to.equal(0)
    expect(new Scaling(none, 0).decide([worker({ connections: 10 })], 1, 0).start).to.equal(1)
  })

  it('without --max-connections, goes by how busy they are', () => {
    const free = { ...pool, maxConnections: 0, standby: 1 }
    expect(new Scaling(free, 0).decide([worker({ connections: 1000, utilization: 0.5 })], 9, 0).start).to.equal(0)
    expect(new Scaling(free, 0).decide([worker({ utilization: 0.9 })], 0, 0).start).to.equal(1)
  })

  it('lets the youngest go that have served, after --max-idle with room to spare', () => {
    const scaling = new Scaling(pool, 0)
    const members = [1, 2, 3].map(startedAt => worker({ accepted: 1, startedAt }))
    expect(scaling.decide(members, 0, 999).retire).to.deep.equal([])
    expect(scaling.decide(members, 0, 1000).retire).to.deep.equal([members[2], members[1]])
  })

  it('goes by the least room there was, and begins anew when there was too little', () => {
    const scaling = new Scaling(pool, 0)
    const idle = worker({ accepted: 1 })
    expect(
      scaling.decide([idle, worker({ connections: 10 }), worker({ connections: 8 })], 0, 500).retire,
    ).to.deep.equal([])
    expect(scaling.decide([idle, idle, idle], 0, 1000).retire, 'room for 12 at least').to.deep.equal([])
    expect(scaling.decide([worker({ connections: 9 })], 0, 1900).start).to.equal(1)
    expect(scaling.decide([idle, idle, idle], 0, 2899).retire).to.deep.equal([])
    expect(scaling.decide([idle, idle, idle], 0, 2900).retire).to.have.length(2)
  })

  it('never lets go who has work or never had any, nor below MIN, nor with --max-idle 0', () => {
    const at = (members: Member[], options = pool) => new Scaling(options, 0).decide(members, 0, 5000).retire
    expect(at([worker(), worker(), worker()])).to.deep.equal([])
    expect(at([worker({ accepted: 1 }), worker({ accepted: 1, inFlight: 1, startedAt: 9 })])).to.have.length(1)
    expect(at([worker({ accepted: 1 })])).to.deep.equal([])
    const raw = worker({ accepted: 1, connections: 1 })
    const kept = worker({ accepted: 1, requests: 1, connections: 1 })
    expect(at([worker(), worker(), raw, kept])).to.deep.equal([kept])
    expect(at([worker({ accepted: 1 }), worker({ accepted: 1 })], { ...pool, maxIdle: 0 })).to.deep.equal([])
  })
})

describe('watchdog policy', () => {
  const one = { name: 'one' }
  const two = { name: 'two' }

  it('names who has said nothing for the limit, and nobody who has', () => {
    const dog = new Watchdog<object>(3000, 1000, 0)
    const hung = [1, 2, 3, 4].map(second =>
      dog.look(
        [
          { worker: one, checkin: 0 },
          { worker: two, checkin: second },
        ],
        second * 1000,
      ),
    )
    expect(hung).to.deep.equal([[], [], [], [one]])
  })

  it('is never early, and late by less than a second, whenever a worker begins to hang', () => {
    const limit = 2000
    for (let hangsAt = 5000; hangsAt < 5000 + saysFor(limit); hangsAt += 10) {
      const dog = new Watchdog<object>(silenceFor(limit), looksFor(limit), 0)
      const said = (time: number) => Math.floor(Math.min(time, hangsAt) / saysFor(limit))
      let time = 0
      while (dog.look([{ worker: one, checkin: said(time) }], time).length === 0) time += looksFor(limit)
      expect(time - hangsAt, `ms after ${hangsAt}`).to.be.within(limit, limit + 1000)
    }
  })

  it('does not count time in which it was itself stopped', () => {
    const dog = new Watchdog<object>(4000, 1000, 0)
    const look = (time: number) => dog.look([{ worker: one, checkin: 7 }], time)
    expect(look(1000)).to.deep.equal([])
    expect(look(600_000)).to.deep.equal([])
    expect(look(601_000)).to.deep.equal([])
    expect(look(602_000)).to.deep.equal([one])
  })

  it('begins anew whenever a worker says something, and never with 0', () => {
    const dog = new Watchdog<object>(2000, 1000, 0)
    for (let second = 1; second < 10; second++) {
      expect(dog.look([{ worker: one, checkin: Math.floor(second / 2) }], second * 1000)).to.deep.equal([])
    }
    const none = new Watchdog<object>(0, 1000, 0)
    for (let second = 1; second < 10; second++)
      expect(none.look([{ worker: one, checkin: 0 }], second * 1000)).to.be.empty
  })
})

describe('limits policy', () => {
  const none = { maxUse: 0, maxRss: 0, maxLifetime: 0 }

  it('says why a worker is due', () => {
    expect(due(none, stats({ requests: 1e9, rss: 1e12 }), 0, 1e12)).to.equal(undefined)
    expect(due({ ...none, maxUse: 10 }, stats({ requests: 9 }), 0, 0)).to.equal(undefined)
    expect(due({ ...none, maxUse: 10 }, stats({ requests: 10 }), 0, 0)?.why).to.equal('has served 10 requests')
    expect(due({ ...none, maxUse: 10 }, stats({ accepted: 10 }), 0, 0)?.why).to.equal('has served 10 requests')
    expect(due({ ...none, maxRss: 2 ** 20 }, stats({ rss: 2 ** 21 }), 0, 0)?.why).to.equal('uses 2 MB')
    expect(due({ ...none, maxLifetime: 60_000 }, stats({ startedAt: 5 }), 0, 60_005)?.why).to.equal('is 60 s old')
    expect(due(none, stats({ status: 3 }), 0, 0)?.why).to.equal('says that it is unhealthy: 3')
  })

  it('spreads what is due by a tenth', () => {
    expect(due({ ...none, maxUse: 100 }, stats({ requests: 90 }), 1, 0)).to.not.equal(undefined)
    expect(due({ ...none, maxUse: 100 }, stats({ requests: 90 }), 0.5, 0)).to.equal(undefined)
    expect(due({ ...none, maxLifetime: 100 }, stats(), 1, 89)).to.equal(undefined)
  })
})
