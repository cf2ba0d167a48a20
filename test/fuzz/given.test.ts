import { expect } from 'chai'
import fc from 'fast-check'
import { choose, type Named, takeOver } from '../../lib/activation.js'
import type { Address } from '../../lib/address.js'
import type { AppConfig } from '../../lib/config.js'
import { nextArgv, type Plan, type PlannedApp, readPlan, restingArgv, workerArgv } from '../../lib/plan.js'
import { TIME, text, unlessRefused, word, words } from '../support/fuzz.js'

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
