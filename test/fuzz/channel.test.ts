/** Fuzzed: what a worker says over its channel. */
import fs from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { reasonsOf } from '../../lib/busy.js'
import { Channel } from '../../lib/channel.js'
import { posix } from '../../lib/posix.js'
import { Stats } from '../../lib/stats.js'
import { WorkerHandle } from '../../lib/worker-handle.js'
import { near, TIME, text } from '../support/fuzz.js'
import { cleanups, MARK, until } from '../support/lookout.js'

describe('fuzzed: what a worker says over its channel', () => {
  /** A channel, and the descriptor of its other end. */
  function channelOf(receive: (message: unknown) => void): { channel: Channel<unknown, unknown>; other: number } {
    const [own, other] = posix.socketpair()
    const channel = new Channel(own, receive)
    cleanups.push(() => channel.close())
    return { channel, other }
  }

  it('arrives as it was sent, however it is cut up', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 })
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(text, fc.jsonValue({ maxDepth: 1 })), { maxLength: 5 }),
        cuts,
        (messages, cuts) => {
          const lines = messages.map(message => JSON.stringify(message))
          const received: unknown[] = []
          const { channel, other } = channelOf(message => received.push(message))
          let rest = Buffer.from(lines.map(line => `${line}\n`).join(''))
          for (let turn = 0; rest.length > 0; turn++) {
            const length = cuts[turn % cuts.length]!
            fs.writeSync(other, rest.subarray(0, length))
            rest = rest.subarray(length)
            channel.read()
          }
          expect(received.map(message => JSON.stringify(message))).to.deep.equal(lines)
          expect(channel.isOpen).to.equal(true)
          fs.closeSync(other)
          channel.close()
        },
      ),
      { numRuns: 300 },
    )
  })

  it('that is no message closes it, and nothing but objects comes through', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
      near('[]\n', '{', '}', '"', '\n', '[', ']', ':', ',', 'null', '{}\n', '1').map(text => Buffer.from(text)),
    )
    fc.assert(
      fc.property(bytes, bytes => {
        const { channel, other } = channelOf(message => expect(message).to.be.an('object'))
        fs.writeSync(other, bytes)
        channel.read()
        fs.closeSync(other)
        channel.read()
        expect(channel.isOpen).to.equal(false)
      }),
      { numRuns: 500 },
    )
  })

  it('is taken by its type alone: what a master makes of it is always what it expects', async () => {
    const stats = new Stats(1)
    const types = [
      'ready',
      'answered',
      'busy',
      'quieted',
      'fault',
      'output',
      'loaded',
      'detached',
      'constructor',
      'nothing',
    ]
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom({ toString: 1 }, { length: 9 }, ['a', 1, null], [{}]),
    )
    const fields = ['served', 'at', 'busy', 'active', 'why', 'fault', 'text', 'files']
    const busy = fc.dictionary(fc.constantFrom('requests', 'upgraded', 'passedAt', 'raw', 'handshakes', 'holds'), odd)
    const fault = fc.dictionary(fc.constantFrom('message', 'stack'), odd)
    const message = fc
      .tuple(
        fc.oneof(fc.constantFrom(...types), odd),
        fc.dictionary(fc.constantFrom(...fields), fc.oneof(odd, busy, fault)),
      )
      .map(([type, rest]) => ({ ...rest, type }))
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 200 }), async messages => {
        const [own, other] = posix.socketpair()
        const pid = posix.spawn('/bin/sleep', ['sleep', '1000'], [MARK], [0, 1, 2], 0)
        let ended = false
        const worker = new WorkerHandle(0, pid, own, stats.slot(0), 0, event => {
          if (event.type === 'answered') expect(event.at).to.be.a('number')
          if (event.type === 'quieted') expect(event.active).to.be.a('number')
          const texts = event.type === 'quieted' ? event.why : event.type === 'loaded' ? event.files : []
          for (const text of texts) expect(text).to.be.a('string')
          ended ||= event.type === 'ended'
        })
        cleanups.push(() => void worker.terminate())
        const last = messages.findIndex(({ type }) => type === 'fault') // what follows it goes to stderr
        const sent = messages.slice(0, last < 0 ? undefined : last + 1).map(message => `${JSON.stringify(message)}\n`)
        fs.writeSync(other, sent.join('').slice(0, 100_000))
        worker.terminate()
        await until('its end', () => ended)
        fs.closeSync(other)
        expect(worker.output.length).to.be.at.most(8192)
        for (const index of worker.served) expect(index).to.be.a('number')
        for (const reason of reasonsOf([worker.busy])) expect(reason).to.be.a('string')
        const { message, stack } = worker.fault ?? { message: '' }
        expect(message).to.be.a('string')
        expect(stack ?? '').to.be.a('string')
      }),
      { numRuns: 20, interruptAfterTimeLimit: 4 * TIME },
    )
    stats.unmap()
  })
})
