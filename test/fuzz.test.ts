/**
 * What others write, and users, made up by fast-check: it is read as it was meant, or refused in a way that is foreseen, whatever it is.
 * A failure says the seed, by which FUZZ_SEED=... repeats it. The C program has targets of its own: test/native/fuzz.
 */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { choose, type Named, takeOver } from '../lib/activation.js'
import { type Address, parseAddress, parseSize, parseTime } from '../lib/address.js'
import type { Seen } from '../lib/apps.js'
import { type AppRecord, Board, makeBoard } from '../lib/board.js'
import { reasonsOf } from '../lib/busy.js'
import { Channel } from '../lib/channel.js'
import type { AppConfig } from '../lib/config.js'
import { checkShape } from '../lib/configuration-mistakes.js'
import { OPTION_KEYS } from '../lib/configuration-schema.js'
import { Misuse } from '../lib/errors.js'
import { notFound, overview, refused } from '../lib/gateway-page.js'
import { awakeUntil, parseHours } from '../lib/hours.js'
import { environmentName, TABLE } from '../lib/option-table.js'
import { optionsOf, parse } from '../lib/options.js'
import { type Failing, render } from '../lib/page.js'
import { nextArgv, type Plan, type PlannedApp, readPlan, restingArgv, workerArgv } from '../lib/plan.js'
import { posix } from '../lib/posix.js'
import { counts } from '../lib/rules.js'
import type { WorkerStats } from '../lib/slot.js'
import { Stats } from '../lib/stats.js'
import { escapeHtml, plain } from '../lib/text.js'
import { WorkerHandle } from '../lib/worker-handle.js'
import { CORPUS, seeds } from './native/fuzz/seeds.js'
import { cleanups, MARK, until } from './support/lookout.js'

/** ms that a property may take; what it has tried until then has to do. */
const TIME = 400

const seed = process.env.FUZZ_SEED
fc.configureGlobal({ numRuns: 2000, interruptAfterTimeLimit: TIME, ...(seed && { seed: Number(seed) }) })

/** Any text, and such as is near to what means something. */
const text = fc.string({ unit: 'binary', maxLength: 40 })
const near = (...parts: string[]) =>
  fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 3 }))).map(list => list.join(''))

/** Words of an argument vector or environment have no NUL, and are UTF-8. */
const word = fc.string({ unit: 'binary', maxLength: 20 }).map(text => text.replaceAll('\0', ''))
const words = fc.array(word, { maxLength: 5 })

/** What `call` gives; undefined where it refuses, which it may do by a Misuse alone. */
function unlessRefused<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if (error instanceof Misuse && error.message !== '') return undefined
    throw error
  }
}

describe('fuzzed: what a user writes', () => {
  it('an address is refused, or means the same once more', () => {
    const given = fc.oneof(text, near(':', '[', ']', '::1', 'localhost', '80', 'unix:', '/', './', 'name='))
    fc.assert(
      fc.property(given, text => {
        const address = unlessRefused(() => parseAddress(text))
        if (!address) return
        expect(parseAddress(address.text)).to.deep.equal(address)
        if (address.kind === 'tcp') expect(address.port).to.be.within(0, 65535)
      }),
    )
  })

  it('an address is read as it was put together', () => {
    const name = fc.stringMatching(/^[a-z0-9.-]+$/).filter(name => name !== 'unix')
    fc.assert(
      fc.property(
        fc.option(fc.oneof(name, fc.ipV6()), { nil: undefined }),
        fc.integer({ min: 0, max: 99_999 }),
        (host, port) => {
          const text = host === undefined ? `${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`
          const address = unlessRefused(() => parseAddress(text))
          const expected = { kind: 'tcp', text, ...(host !== undefined && { host }), port }
          expect(address).to.deep.equal(port > 65535 ? undefined : expected)
        },
      ),
    )
  })

  it('a time and a size are refused, or whole numbers within their limits', () => {
    const given = fc.oneof(
      text,
      near('0', '9', '.', 'ms', 's', 'm', 'h', 'K', 'G', 'B', ' ', '-', 'e'),
      fc.double().map(String),
    )
    fc.assert(
      fc.property(given, text => {
        for (const [parse, most] of [
          [parseTime, 240 * 3_600_000],
          [parseSize, 2 ** 50],
        ] as const) {
          const value = unlessRefused(() => parse(text))
          if (value === undefined) continue
          expect(value).to.satisfy(Number.isInteger).and.to.be.within(0, most)
        }
      }),
    )
  })

  it('hours are refused, or those in which each minute of a week says so', () => {
    const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
    const day = fc.integer({ min: 0, max: 6 })
    const minute = fc.integer({ min: 0, max: 24 * 60 - 1 })
    const span = fc.record({ first: day, last: day, from: minute, to: minute }).filter(({ from, to }) => from !== to)
    const time = (minutes: number) => `${Math.floor(minutes / 60)}:${`${minutes % 60}`.padStart(2, '0')}`
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 4 }), day, minute, (spans, today, now) => {
        const hours = parseHours(
          spans.map(({ first, last, from, to }) => `${days[first]}-${days[last]} ${time(from)}-${time(to)}`).join(', '),
        )
        const week = 7 * 24 * 60
        const within = spans.find(({ first, last, from, to }) => {
          for (let at = first; ; at = (at + 1) % 7) {
            for (let minute = from; minute !== to; minute = (minute + 1) % (24 * 60)) {
              const later = minute < from ? 24 * 60 : 0
              if ((at * 24 * 60 + minute + later) % week === today * 24 * 60 + now) return true
            }
            if (at === last) return false
          }
        })
        const date = new Date(2026, 10, 22 + today, Math.floor(now / 60), now % 60) // the 22nd is a Sunday
        expect(awakeUntil(hours, date)).to.equal(within && time(within.to))
      }),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(
        fc.oneof(text, near('mon', '-', ' ', '8', ':', '00', '24', ',')),
        text => void unlessRefused(() => parseHours(text)),
      ),
    )
  })

  it('options are refused, or read, on the command line and in the environment', () => {
    const names = [
      ...Object.values(TABLE).flatMap(({ flags }) => flags.replace(/ <.*/, '').split(', ')),
      '--',
      '--nothing',
      'app.js',
    ]
    const values = [
      '0',
      '1',
      '4',
      '1:8',
      'auto',
      '30s',
      '512M',
      '660',
      'TERM',
      'localhost:80',
      'mon-fri 8:00-18:00',
      'true',
      '',
    ]
    const value = fc.oneof(fc.constantFrom(...values), text)
    const argv = fc.array(
      fc.oneof(fc.constantFrom(...names), value).filter(word => !/^--(help|version)/.test(word)),
      { maxLength: 12 },
    )
    const env = fc.dictionary(fc.constantFrom(...Object.keys(TABLE).map(environmentName), 'LOOKOUT_NONE'), value, {
      maxKeys: 4,
    })
    fc.assert(
      fc.property(argv, env, (argv, env) => {
        const parsed = unlessRefused(() => parse(argv, env, '1'))
        if (!parsed) return
        expect(argv).to.include.members([parsed.app, ...parsed.args])
        const { workers, idle, grace, backlog } = parsed.options
        expect(workers.least).to.be.within(1, workers.most)
        expect(workers.most).to.be.at.most(128)
        for (const number of [idle, grace, backlog]) expect(number).to.satisfy(Number.isInteger)
      }),
    )
  })

  it('options of the library are refused, or none but those that there are', () => {
    const key = fc.oneof(fc.constantFrom(...Object.keys(TABLE), '__proto__', 'constructor', 'toString'), text)
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }), given => {
        const options = unlessRefused(() => optionsOf(given))
        if (options) expect(Object.keys(TABLE)).to.include.members(Object.keys(options))
      }),
    )
  })

  it('a configuration of any shape is checked to the end', () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('8080', 'a.js', '30s', ['a'], { path: '/a' }))
    const keys = [
      ...OPTION_KEYS,
      'script',
      'command',
      'args',
      'cwd',
      'hosts',
      'env',
      'envFile',
      'ignore',
      'wakeOn',
      'name',
    ]
    const odd = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '']
    const app = fc.dictionary(fc.constantFrom(...keys, ...odd), value, { maxKeys: 4 })
    const apps = fc.dictionary(
      fc.oneof(fc.constantFrom('shop', 'lookout', 'Shop', ...odd), text),
      fc.oneof(app, value),
      { maxKeys: 3 },
    )
    const whole = fc.dictionary(fc.constantFrom('gateway', 'metrics', '$schema', 'nothing', ...odd), value, {
      maxKeys: 3,
    })
    const made = fc
      .tuple(whole, fc.option(fc.oneof(apps, value)), fc.option(fc.oneof(app, value)))
      .map(([whole, apps, defaults]) => ({
        ...whole,
        ...(apps !== null && { apps }),
        ...(defaults !== null && { defaults }),
      }))
    fc.assert(
      fc.property(fc.oneof(made, fc.jsonValue()), given => {
        const text = JSON.stringify(given)
        const { mistakes, input } = checkShape(JSON.parse(text))
        expect(mistakes.length > 0 || input !== undefined, text).to.equal(true)
        for (const mistake of mistakes) expect(mistake.text, text).to.match(/^[^\n]+$/)
        if (input)
          expect(
            checkShape(input).mistakes.filter(({ path }) => path[0] !== 'apps' || path.length > 2),
            text,
          ).to.deep.equal([])
      }),
      { numRuns: 500, interruptAfterTimeLimit: 2 * TIME },
    )
  })
})

describe('fuzzed: what lookout is given', () => {
  it('sockets that are none are refused, whatever LISTEN_FDS says', () => {
    const number = fc.oneof(text, fc.integer().map(String), fc.constantFrom('1', '2', ' 1', '1e1', '0x1', ''))
    const names = fc.oneof(text, fc.constantFrom('', ':', 'a:b'))
    const env = fc.record(
      { LISTEN_PID: fc.constantFrom('7', '07', ' 7', '8'), LISTEN_FDS: number, LISTEN_FDNAMES: names },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(env, env => {
        const groups = unlessRefused(() => takeOver(env, 7))
        expect(groups).to.equal(undefined) // the test has no listening sockets
      }),
    )
  })

  it('sockets that are chosen by their names come first, and none is lost', () => {
    const name = fc.constantFrom('a', 'b', 'c')
    const named = (name: string): Address => ({ kind: 'name', text: `name=${name}`, name })
    fc.assert(
      fc.property(fc.array(name), fc.array(name), (given, wanted) => {
        const groups: Named[] = given.map((name, index) => ({ name, fds: [3 + index], port: 0 }))
        const chosen = unlessRefused(() => choose(groups, wanted.map(named)))
        const count = (list: string[], name: string) => list.filter(other => other === name).length
        expect(chosen !== undefined).to.equal(['a', 'b', 'c'].every(name => count(wanted, name) <= count(given, name)))
        if (!chosen) return
        expect(chosen).to.have.members(groups)
        expect(chosen.slice(0, wanted.length).map(({ name }) => name)).to.deep.equal(wanted)
      }),
    )
  })

  const app: fc.Arbitrary<PlannedApp> = fc.record({
    config: fc.record({ name: word, grace: fc.nat(1e9), urls: words }).map(config => config as AppConfig),
    groups: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    handoff: fc.boolean(),
    version: word,
    worker: fc.tuple(word, words).map(([script, args]) => workerArgv(script, args)),
    user: fc.constantFrom('', '65534:65534:65534', '1:2:3,4'),
    folder: word,
    env: fc.dictionary(
      word.map(name => `A${name.replaceAll('=', '')}`),
      word,
      { maxKeys: 3 },
    ),
  })
  const plan: fc.Arbitrary<Plan> = fc.record({
    ready: word,
    quiet: fc.boolean(),
    first: fc.integer({ min: 4, max: 99 }),
    board: fc.constant(3),
    files: words,
    reload: words,
    apps: fc.array(app, { minLength: 1, maxLength: 4 }),
  })

  it('a plan is found again in the argument vector that is made of it, also where apps are awake', () => {
    fc.assert(
      fc.property(plan, fc.array(fc.array(word, { minLength: 8, maxLength: 8 }), { maxLength: 3 }), (plan, live) => {
        let at = 0
        const apps = plan.apps.map(({ config, version, groups, handoff = false }) => {
          const app = { config, version, at, groups, handoff }
          at += groups.reduce((sum, count) => sum + count, handoff ? 1 : 0)
          return app
        })
        const expected = { first: plan.first, board: plan.board, reloads: plan.reload.length > 0, apps }
        const { argv, live: place } = nextArgv(plan)
        expect(readPlan(restingArgv(plan))).to.deep.equal(expected)
        expect(readPlan(argv.toSpliced(place, 0, `${live.length}`, ...live.flat()))).to.deep.equal(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('an argument vector that is no plan is none, at no cost', () => {
    const numbers = fc.constantFrom('0', '1', '2', '3', '4', '9', '4096', '30000000', '99999999999')
    const argv = fc.array(
      fc.oneof(numbers, word, fc.constantFrom('LOOKOUT_APP={}', 'LOOKOUT_APP=1', 'LISTEN_FDNAMES=a:a')),
    )
    const changed = fc
      .tuple(plan, fc.array(fc.tuple(fc.nat(), fc.oneof(numbers, word)), { minLength: 1, maxLength: 3 }))
      .map(([plan, changes]) =>
        changes.reduce((argv, [at, word]) => argv.with(at % argv.length, word), restingArgv(plan)),
      )
    const begun = performance.now()
    let runs = 0
    fc.assert(
      fc.property(fc.oneof(argv, changed), argv => {
        runs++
        for (const { groups, at } of readPlan(argv)?.apps ?? []) {
          expect(at).to.be.within(0, 65536 * 64)
          for (const count of groups) expect(count).to.be.above(0)
        }
      }),
      { numRuns: 1000, interruptAfterTimeLimit: 2 * TIME },
    )
    expect((performance.now() - begun) / runs, 'ms each').to.be.below(5)
  })
})

describe('fuzzed: what a client sends', () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'B', '*', '/', '.', '#', '?', '\n', 'é'), maxLength: 8 })
  const rule = fc.record({ path: part, method: part, userAgent: part, upgrade: part }, { requiredKeys: [] })
  const asked = fc.record({
    url: part,
    method: part,
    headers: fc.record({ 'user-agent': part, upgrade: part }, { requiredKeys: [] }),
  })

  /** As a regular expression, which takes for ever where a client wants it to. */
  function isLike(text: string, pattern: string): boolean {
    const literal = (part: string) => part.replace(/[.?/#\n]/g, '\\$&')
    return new RegExp(`^${pattern.split('*').map(literal).join('[^]*')}$`).test(text)
  }

  it('is meant by a rule where a regular expression says so', () => {
    const both = { met: 0, unmet: 0 }
    fc.assert(
      fc.property(
        asked,
        fc.array(rule, { maxLength: 3 }),
        fc.option(fc.array(rule, { maxLength: 3 }), { nil: undefined }),
        (request, ignore, wakeOn) => {
          const has: Record<string, string> = {
            path: request.url.split(/[?#]/)[0]!,
            method: request.method.toLowerCase(),
            userAgent: (request.headers['user-agent'] ?? '').toLowerCase(),
            upgrade: (request.headers.upgrade ?? '').toLowerCase(),
          }
          const meant = (rule: object) =>
            Object.entries(rule).every(([key, pattern]) =>
              isLike(has[key]!, key === 'path' ? pattern : pattern.toLowerCase()),
            )
          const expected = !ignore.some(meant) && (!wakeOn || wakeOn.some(meant))
          both[expected ? 'met' : 'unmet']++
          expect(counts(request, { ignore, ...(wakeOn && { wakeOn }) })).to.equal(expected)
        },
      ),
      { numRuns: 5000 },
    )
    expect(Math.min(both.met, both.unmet)).to.be.above(100)
  })
})

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

describe('fuzzed: what an app says, as it is shown', () => {
  const markup = near(
    '<script>',
    '</pre>',
    '<',
    '>',
    '&',
    '"',
    "'",
    '&#60;',
    '<!--',
    '\u001b[31m',
    '\u009b',
    '\0',
    '\r',
    ' ',
  )
  const said = fc.oneof(markup, text)
  const tagsOf = (html: string) => html.match(/<[^>]*>/g)

  /** A text in which nothing could be markup, and which is empty where the other is. */
  const tame = (text: string) => (text.trim() === '' ? text : 'x')

  it('as text it neither colours nor moves anything, and is escaped to no markup', () => {
    fc.assert(
      fc.property(said, text => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
        expect(plain(text)).not.to.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
        expect(plain(plain(text))).to.equal(plain(text))
        expect(escapeHtml(text)).not.to.match(/[<>"']|&(?!#\d+;)/)
        expect(escapeHtml(text).replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))).to.equal(text)
      }),
    )
  })

  it('the page of an app that fails has no tag of its', () => {
    const failing: fc.Arbitrary<Failing> = fc.record(
      { name: said, what: said, message: said, stack: said, output: said, retryAfter: fc.nat(15) },
      { requiredKeys: ['name', 'what', 'retryAfter'] },
    )
    fc.assert(
      fc.property(failing, fc.boolean(), said, (failing, production, accept) => {
        const texts = Object.entries(failing).map(([key, value]) => [
          key,
          typeof value === 'string' ? tame(value) : value,
        ])
        const { body } = render(failing, 'text/html', production)
        expect(tagsOf(body)).to.deep.equal(tagsOf(render(Object.fromEntries(texts), 'text/html', production).body))
        expect(JSON.parse(render(failing, 'application/json', production).body)).to.be.an('object')
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are
        expect(render(failing, 'text/plain', production).body).not.to.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
        expect(render(failing, accept, production).type).to.match(/^(text\/(html|plain)|application\/json)/)
      }),
      { numRuns: 500 },
    )
  })

  it("the gateway's pages have none either, nor of who asks", () => {
    const number = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER))
    const record = fc
      .record({
        why: said,
        bootError: said,
        restart: said,
        wakes: number,
        changedAt: number,
        requests: number,
        restartFailed: fc.nat(1),
      })
      .map(record => record as unknown as AppRecord)
    const seen: fc.Arbitrary<Seen> = fc.record({
      name: fc.constantFrom('shop', 'blog'),
      state: fc.constantFrom('rests', 'awake', 'fails'),
      urls: fc.array(
        said.map(text => `http://${text}`),
        { maxLength: 2 },
      ),
      hosts: fc.array(said, { maxLength: 2 }),
      master: fc.constant(7),
      workers: fc.constant([8]),
      rss: number,
      record,
    })
    const tamed = (app: Seen): Seen => ({
      ...app,
      urls: app.urls.map(() => 'http://x'),
      hosts: app.hosts.map(() => 'x'),
      record: {
        ...app.record,
        why: tame(app.record.why),
        bootError: tame(app.record.bootError),
        restart: tame(app.record.restart),
      },
    })
    /** Without what stands in the attributes that are links. */
    const shape = (html: string) => tagsOf(html.replace(/href="[^"]*"/g, ''))
    fc.assert(
      fc.property(fc.array(seen, { maxLength: 3 }), said, (apps, host) => {
        const common = { port: 80, lookout: 1, token: 'token' }
        expect(shape(overview({ apps, ...common }, 'n'))).to.deep.equal(
          shape(overview({ apps: apps.map(tamed), ...common }, 'n')),
        )
        const known = apps.map(({ name, urls }) => ({ name, hosts: [host], urls, guarded: 0 }))
        const title = tame(host)
        expect(shape(notFound(known, host, 80, 'n'))).to.deep.equal(
          shape(
            notFound(
              known.map(app => ({ ...app, hosts: ['x'], urls: [] })),
              title,
              80,
              'n',
            ),
          ),
        )
        expect(shape(refused(host, 'n'))).to.deep.equal(shape(refused(title, 'n')))
      }),
      { numRuns: 200 },
    )
  })
})

describe('the corpus of test/native/fuzz', () => {
  it('is what lookout writes today: node dist/test/native/fuzz/seeds.js', () => {
    for (const [target, files] of Object.entries(seeds())) {
      for (const [name, bytes] of Object.entries(files)) {
        const kept = fs.readFileSync(path.join(CORPUS, target, name))
        expect(kept.equals(bytes), `${target}/${name}`).to.equal(true)
      }
    }
  })
})
