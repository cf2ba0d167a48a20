/** The policies, which are handed the clock: no process, no waiting. */
import { expect } from 'chai'
import { parseAddress, parseTime } from '../lib/address.js'
import { Backoff } from '../lib/backoff.js'
import { filesIn } from '../lib/changes.js'
import { duration } from '../lib/clock.js'
import { Misuse } from '../lib/errors.js'
import { Idle } from '../lib/idle.js'
import { render } from '../lib/page.js'

describe('idle policy', () => {
  it('is armed from the start, and again by whatever happens', () => {
    const idle = new Idle(100, 1000)
    expect(idle.remaining(1000)).to.equal(100)
    idle.touch(1050)
    expect(idle.remaining(1100)).to.equal(50)
    expect(idle.remaining(1150)).to.equal(0)
    expect(idle.remaining(9999)).to.equal(0)
  })

  it('is not moved back by an old report, nor by one that is no number', () => {
    const idle = new Idle(100, 1000)
    idle.touch(900)
    idle.touch(Number.NaN)
    expect(idle.remaining(1000)).to.equal(100)
  })

  it('never ends with 0', () => {
    expect(new Idle(0, 0).remaining(1e12)).to.equal(Number.POSITIVE_INFINITY)
  })
})

describe('back-off policy', () => {
  it('doubles from half a second to fifteen while the app does not boot', () => {
    const backoff = new Backoff()
    const delays = Array.from({ length: 8 }, () => {
      backoff.bootFailed(0)
      return backoff.remaining(0)
    })
    expect(delays).to.deep.equal([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000])
  })

  it('lets the first crash pass, not the second', () => {
    const backoff = new Backoff()
    backoff.crashed(0, 100)
    expect(backoff.remaining(0)).to.equal(0)
    backoff.crashed(0, 100)
    expect(backoff.remaining(0)).to.equal(500)
    backoff.crashed(0, 60_000)
    expect(backoff.remaining(0)).to.equal(0)
  })

  it('forgets when something changed, but remembers how often it failed', () => {
    const backoff = new Backoff()
    backoff.bootFailed(0)
    backoff.forget()
    expect(backoff.remaining(0)).to.equal(0)
    backoff.bootFailed(0)
    expect(backoff.remaining(0)).to.equal(1000)
  })
})

describe('addresses and times', () => {
  it('reads every form of an address', () => {
    expect(parseAddress('8080')).to.deep.equal({ kind: 'tcp', text: '8080', port: 8080 })
    expect(parseAddress(':8080')).to.deep.equal({ kind: 'tcp', text: ':8080', port: 8080 })
    expect(parseAddress('localhost:0')).to.include({ host: 'localhost', port: 0 })
    expect(parseAddress('[::1]:80')).to.include({ host: '::1', port: 80 })
    expect(parseAddress('10.0.0.1:80')).to.include({ host: '10.0.0.1', port: 80 })
    expect(parseAddress('/run/app.sock')).to.deep.equal({ kind: 'unix', text: '/run/app.sock', path: '/run/app.sock' })
    expect(parseAddress('unix:app.sock')).to.include({ path: `${process.cwd()}/app.sock` })
  })

  for (const text of ['', 'app', 'host:', '::1:80', '[::1]', '65536', '-1', '80x', 'unix:', 'a:b:80']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseAddress(text)).to.throw(Misuse)
    })
  }

  it('reads every form of a time, and rounds none but 0 to 0', () => {
    expect(['30', '30s', '500ms', '5m', '1h', '0', '0.5', '0.1ms', '1.5m'].map(parseTime)).to.deep.equal([
      30_000, 30_000, 500, 300_000, 3_600_000, 0, 500, 1, 90_000,
    ])
    for (const text of ['', '1d', '-1', '1e3', 's', '1 s', 'NaN', 'Infinity'])
      expect(() => parseTime(text), text).to.throw(Misuse)
  })

  it('says a duration as a person would', () => {
    expect([61.4, 2500, 30_000, 2_580_000].map(duration)).to.deep.equal(['61 ms', '2.5 s', '30 s', '43 min'])
  })
})

describe('the page of an app that fails', () => {
  const failing = {
    name: '<app>',
    what: 'it threw',
    message: '"x" & <y>',
    stack: 'at <z>',
    output: '\u001b[31mred\u001b[0m',
    retryAfter: 3,
  }

  it('escapes all that comes from the app', () => {
    const { body } = render(failing, 'text/html', false)
    expect(body).to.not.match(/<app>|<y>|<z>/)
    expect(body).to.not.contain('\u001b')
    expect(body).to.contain('&#60;app&#62;').and.to.contain('red')
  })

  it('takes the first type that it knows', () => {
    const type = (accept: string) => render(failing, accept, false).type.split(';')[0]
    expect(type('text/html,application/xhtml+xml;q=0.9,*/*;q=0.8')).to.equal('text/html')
    expect(type('image/png, application/problem+json;q=0.9')).to.equal('application/json')
    expect(type('text/plain')).to.equal('text/plain')
    expect(type('*/*')).to.equal('text/plain')
    expect(type('')).to.equal('text/plain')
  })

  it('finds the files in a stack', () => {
    expect(filesIn('file:///a/b.mjs:3\n  at f (/a/c.js:1:2)\n at node:internal/x:1:2')).to.deep.equal([
      '/a/b.mjs',
      '/a/c.js',
    ])
  })
})
