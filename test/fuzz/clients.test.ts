import { expect } from 'chai'
import fc from 'fast-check'
import { counts } from '../../lib/rules.js'
import '../support/fuzz.js'

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
