/** Workers share one queue, and take from it evenly. */
import http from 'node:http'
import { expect } from 'chai'
import { Balance } from '../lib/balance.js'
import { Field, type Words } from '../lib/slot.js'
import { request } from './support/client.js'
import { cleanups, fixture, Lookout, until } from './support/lookout.js'

function slot(connections: number, accepting = 1): Words {
  const fields = new Float64Array(16)
  fields[Field.pid] = 1
  fields[Field.connections] = connections
  fields[Field.accepting] = accepting
  return fields
}

describe('balance policy', () => {
  const balanceOf = (own: Words, peers: Words[], clock?: () => number) => {
    const balance = new Balance(own, clock)
    for (const peer of peers) balance.meet(peer)
    return balance
  }

  it('takes a connection unless a peer has clearly fewer', () => {
    expect(balanceOf(slot(3), []).admit()).to.equal(true)
    expect(balanceOf(slot(3), [slot(3), slot(9)]).admit()).to.equal(true)
    expect(balanceOf(slot(3), [slot(2)]).admit()).to.equal(false)
    expect(balanceOf(slot(102), [slot(100)]).admit()).to.equal(true)
    expect(balanceOf(slot(120), [slot(100)]).admit()).to.equal(false)
  })

  it('does not wait for a peer that takes none, nor for one whose count is no number', () => {
    expect(balanceOf(slot(3), [slot(0, 0)]).admit()).to.equal(true)
    expect(balanceOf(slot(3), [slot(Number.NaN)]).admit()).to.equal(true)
  })

  it('forgets peers that are gone when it meets another', () => {
    const gone = slot(0)
    const balance = balanceOf(slot(3), [gone])
    expect(balance.admit()).to.equal(false)
    gone[Field.pid] = 0
    balance.meet(slot(3))
    expect(balance.admit()).to.equal(true)
  })

  it('takes it after a millisecond: the peer may be busy', () => {
    let time = 5
    const balance = balanceOf(slot(1), [slot(0)], () => time)
    expect(balance.admit()).to.equal(false)
    time += 0.9
    expect(balance.admit()).to.equal(false)
    time += 0.1
    expect(balance.admit()).to.equal(true)
    expect(balance.admit(), 'the next').to.equal(false)
  })
})

describe('balance', () => {
  it('spreads 64 keep-alive connections over 4 workers', async () => {
    const lookout = await Lookout.start(['-w', '4', fixture('plain.js')])
    await request(lookout.url)
    await until('four workers', () => lookout.count(/worker \d pid \d+ ready/) === 4)
    const spreads: number[] = []
    await until('an even spread', async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
      cleanups.push(() => agent.destroy())
      const pids = await Promise.all(
        Array.from({ length: 64 }, async () => (await request(lookout.url, '/pid', { agent })).body),
      )
      agent.destroy()
      const counts = [...new Set(pids)].map(pid => pids.filter(other => other === pid).length)
      spreads.push(counts.length === 4 ? Math.max(...counts) - Math.min(...counts) : 64)
      return spreads.length >= 8
    })
    // The median of the rounds: one may be disturbed by whatever else the machine does.
    expect(spreads.sort((a, b) => a - b)[3], `spreads ${spreads}`).to.be.at.most(4)
  })
})
