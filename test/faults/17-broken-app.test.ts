/** Apps that do not come to serve, or not for long. */
import fs from 'node:fs'
import { expect } from 'chai'
import { app, boots, COUNT, GOOD, THROWS } from '../support/app.js'
import { type Reply, request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { Lookout, until } from '../support/lookout.js'

/** Asks again and again, one after the other; every answer has to be a 503. */
async function insist(lookout: Lookout, enough: (reply: Reply) => boolean): Promise<Reply[]> {
  const replies: Reply[] = []
  do {
    replies.push(await request(lookout.url))
    expect(replies.at(-1)!.status).to.equal(503)
  } while (!enough(replies.at(-1)!))
  return replies
}

/** ms from the mending of an app to the first answer of what it is then. */
async function mended(lookout: Lookout, file: string): Promise<number> {
  fs.writeFileSync(file, GOOD)
  const start = performance.now()
  expect((await request(lookout.url)).body).to.equal('fixed')
  return Math.round(performance.now() - start)
}

/** How many were started within 10 s of the first. */
function early(file: string): number {
  const times = boots(file)
  return times.filter(time => time < times[0]! + 10_000).length
}

const answered = (replies: Reply[]) => replies.length.toLocaleString('en')

describe('an app that fails', () => {
  fault(
    17,
    'the app throws at load',
    '503, at most 6 boots in 10 s, waits of at most 15 s, recovers once fixed',
    async () => {
      const file = app(COUNT + THROWS)
      const lookout = await Lookout.start([file])
      const waits = new Set<number>()
      const replies = await insist(lookout, ({ headers }) => {
        waits.add(Number(headers['retry-after']))
        return boots(file).length >= 6
      })
      const longest = Math.max(...waits)
      expect(early(file)).to.be.within(3, 6)
      expect(longest, 's').to.equal(15)
      expect(lookout.count(/wakes/)).to.equal(1)
      const ms = await mended(lookout, file)
      return `${early(file)} boots in 10 s, ${answered(replies)} answers of 503, waits of 0.5 to ${longest} s, mended: ${ms} ms`
    },
  )

  fault(18, 'the app never listens', 'said at the boot timeout, +1 s at most; then as 17', async () => {
    const idle = async () => {
      const file = app(`${COUNT}setInterval(() => {}, 1000)\n`)
      const lookout = await Lookout.start(['--boot-timeout', '2s', file])
      const start = performance.now()
      const first = await request(lookout.url)
      const took = Math.round(performance.now() - start)
      expect(first.status).to.equal(503)
      expect(first.body).to.include('did not listen within 2 s')
      expect(took).to.be.within(2000, 3000)
      const replies = await insist(lookout, () => performance.now() > start + 10_000)
      expect(early(file)).to.be.within(2, 6)
      await mended(lookout, file)
      return { took, replies, boots: early(file) }
    }
    const empty = async () => {
      const file = app(COUNT)
      const lookout = await Lookout.start(['--boot-timeout', '2s', file])
      const start = performance.now()
      const replies = await insist(lookout, () => performance.now() > start + 10_000)
      expect(early(file)).to.be.within(3, 6)
      await mended(lookout, file)
      return { replies, boots: early(file) }
    }
    const [one, other] = await Promise.all([idle(), empty()])
    return `said after ${one.took.toLocaleString('en')} ms of 2 s, ${one.boots} boots in 10 s; of an empty module ${other.boots}, all ${answered([...one.replies, ...other.replies])} answers 503`
  })

  fault(
    19,
    'workers crash at their first tick',
    'at most 20 in 30 s, ever later; TERM is obeyed throughout',
    async () => {
      const text = `${COUNT}${GOOD}setImmediate(() => process.exit(1))\n`
      const file = app(text)
      const lookout = await Lookout.start(['-w', '2', file])
      const end = performance.now() + 30_000
      let asked = 0
      const insisting = (async () => {
        while (performance.now() < end) {
          // What a dying worker had accepted is lost with it.
          await request(lookout.url).catch(() => {})
          asked++
        }
      })()
      let obeyed = 0
      for (; performance.now() < end - 2000; obeyed++) {
        const another = await Lookout.start(['-w', '2', app(text)])
        request(another.url).catch(() => {})
        const term = performance.now() + ((obeyed * 137) % 2000)
        await until('its turn', () => performance.now() >= term)
        expect(await another.stop(), another.stderr).to.deep.equal({ code: 0, signal: null })
      }
      await insisting
      const times = boots(file)
      const gaps = times.slice(1).map((time, index) => time - times[index]!)
      expect(times.length).to.be.within(4, 20)
      const longest = Math.max(...gaps)
      expect(longest, 'ms').to.be.above(4000) // that it is 15 s at most is row 17's
      expect(obeyed).to.be.above(5)
      expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
      return `${times.length} in 30 s for ${asked.toLocaleString('en')} requests, the longest wait ${(longest / 1000).toFixed(1)} s; ${obeyed + 1} of ${obeyed + 1} obeyed TERM`
    },
  )
})
