import { expect } from 'chai'
import fc from 'fast-check'
import { parseAddress, parseSize, parseTime } from '../../lib/address.js'
import { checkShape } from '../../lib/configuration-mistakes.js'
import { OPTION_KEYS } from '../../lib/configuration-schema.js'
import { awakeUntil, parseHours } from '../../lib/hours.js'
import { environmentName, TABLE } from '../../lib/option-table.js'
import { optionsOf, parse } from '../../lib/options.js'
import { near, TIME, text, unlessRefused } from '../support/fuzz.js'

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
