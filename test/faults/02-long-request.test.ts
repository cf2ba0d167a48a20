import { expect } from 'chai'
import { outcome } from '../support/client.js'
import { fault } from '../support/faults.js'
import { fixture, Lookout } from '../support/lookout.js'

describe('work that outlasts idle', () => {
  fault(2, 'a request longer than idle', '100 of 100 complete', async () => {
    const lookout = await Lookout.start(['--idle', '100ms', fixture('plain.js')])
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, () => outcome(lookout.url, '/slow?500', ({ body }) => body === 'slow')),
    )
    const done = outcomes.filter(outcome => outcome === 'ok').length
    expect(done).to.equal(100)
    await lookout.rests()
    return `${done} of 100, each five times as long as --idle`
  })
})
