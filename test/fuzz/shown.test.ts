import { expect } from 'chai'
import fc from 'fast-check'
import type { Seen } from '../../lib/apps.js'
import type { AppRecord } from '../../lib/board.js'
import { notFound, overview, refused } from '../../lib/gateway-page.js'
import { type Failing, render } from '../../lib/page.js'
import { escapeHtml, plain } from '../../lib/text.js'
import { near, text } from '../support/fuzz.js'

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
