/** Promise 4: a broken app never spins; it backs off, tells the visitor, and serves again once it is fixed. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { app, boots, COUNT, GOOD, THROWS } from './support/app.js'
import { request } from './support/client.js'
import { fixture, Lookout, temporaryFolder, until } from './support/lookout.js'

const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }

describe('promise 4: a broken app never spins', () => {
  it('shows a browser the message, the stack and what it wrote', async () => {
    const lookout = await Lookout.start([app(THROWS)])
    const { status, headers, body } = await request(lookout.url, '/', html)
    expect(status).to.equal(503)
    expect(headers['retry-after']).to.match(/^[1-9]\d*$/)
    expect(headers['content-type']).to.equal('text/html; charset=utf-8')
    expect(headers['cache-control']).to.equal('no-store')
    expect(body).to.contain('no &#60;database&#62;').and.to.contain('app.js:2').and.to.contain('reading config')
    expect(body).to.not.contain('<database>').and.to.not.contain('\u001b')
    await lookout.line(/^master \d+: worker 0 pid \d+ exited with code 1 before it listened: no <database>$/m)
  })

  it('says it in JSON, or in text', async () => {
    const lookout = await Lookout.start([app(THROWS)])
    const json = await request(lookout.url, '/', { headers: { accept: 'application/json' } })
    expect(JSON.parse(json.body)).to.include({ error: 'app.js does not run', message: 'no <database>' })
    const text = await request(lookout.url)
    expect(text.headers['content-type']).to.equal('text/plain; charset=utf-8')
    expect(text.body).to.contain('no <database>').and.to.contain('reading config')
  })

  for (const accept of ['text/html', 'application/json', '*/*']) {
    it(`says nothing about the app's insides in production (${accept})`, async () => {
      const lookout = await Lookout.start([app(THROWS)], { env: { NODE_ENV: 'production' } })
      const { status, headers, body } = await request(lookout.url, '/', { headers: { accept } })
      expect(status).to.equal(503)
      expect(headers['retry-after']).to.match(/^\d+$/)
      expect(body).to.contain('unavailable')
      expect(body).to.not.match(/database|config|\.js|stack/)
    })
  }

  it('boots at most 6 times in 10 s however often it is asked, then serves once fixed', async function () {
    this.timeout(30_000)
    const file = app(COUNT + THROWS)
    const lookout = await Lookout.start([file])
    const end = Date.now() + 10_000
    while (Date.now() < end) expect((await request(lookout.url)).status).to.equal(503)
    expect(boots(file).length).to.be.within(3, 6)
    expect(lookout.count(/wakes/)).to.equal(1)
    fs.writeFileSync(file, GOOD)
    expect((await request(lookout.url)).body).to.equal('fixed')
  })

  it('waits for a visitor before it tries again', async () => {
    const file = app(COUNT + THROWS)
    const lookout = await Lookout.start(['--idle', '1500ms', file])
    await request(lookout.url)
    await lookout.rests()
    expect(boots(file).length).to.equal(1)
    expect((await request(lookout.url)).status).to.equal(503)
    expect(boots(file).length).to.equal(2)
  })

  for (const [what, text, name] of [
    ['a syntax error', 'const = 1\n', 'app.js'],
    ['a syntax error in an ES module', 'const = 1\n', 'app.mjs'],
    ['a rejected top-level await', "await Promise.reject(new Error('rejected'))\n", 'app.mjs'],
    ['a missing module', "require('./missing.js')\n", 'app.js'],
    ['an exit', "console.error('DATABASE_URL is not set'); process.exit(3)\n", 'app.js'],
    ['nothing to serve', '', 'app.js'],
  ] as const) {
    it(`recovers from ${what} at the first reload after the fix`, async () => {
      const file = app(text, name)
      const lookout = await Lookout.start([file])
      const first = await request(lookout.url)
      expect(first.status).to.equal(503)
      if (what === 'an exit')
        expect(first.body).to.contain('exited with code 3').and.to.contain('DATABASE_URL is not set')
      if (name === 'app.js') fs.writeFileSync(file, GOOD)
      else fs.writeFileSync(file, `import http from 'node:http'\n${GOOD.replace("require('node:http')", 'http')}`)
      expect((await request(lookout.url)).body).to.equal('fixed')
    })
  }

  for (const name of ['app.mjs', 'app.js']) {
    it(`names the place of a syntax error in a file that ${name} loads, and sees it mended`, async () => {
      const file = app(name === 'app.js' ? "require('./part.js')\n" : "import './part.js'\n", name)
      const part = path.join(path.dirname(file), 'part.js')
      fs.writeFileSync(path.join(path.dirname(file), 'package.json'), name === 'app.js' ? '{}' : '{"type":"module"}')
      fs.writeFileSync(part, 'const fine = 1\nconst = 2\n')
      const lookout = await Lookout.start([file])
      expect((await request(lookout.url)).body).to.contain('part.js:2\nconst = 2')
      await lookout.line(/part\.js:2\nconst = 2/)
      await lookout.line(/SyntaxError.*\n/)
      fs.writeFileSync(
        part,
        name === 'app.js' ? GOOD : `import http from 'node:http'\n${GOOD.replace("require('node:http')", 'http')}`,
      )
      expect((await request(lookout.url)).body).to.equal('fixed')
    })
  }

  it('recovers when a missing file is made', async () => {
    const file = app("require('./made.js')\n")
    const lookout = await Lookout.start([file])
    expect((await request(lookout.url)).status).to.equal(503)
    fs.writeFileSync(path.join(path.dirname(file), 'made.js'), GOOD)
    expect((await request(lookout.url)).body).to.equal('fixed')
  })

  it('gives up on an app that does not listen within the boot timeout', async () => {
    const file = app('setInterval(() => {}, 1000)\n')
    const lookout = await Lookout.start(['--boot-timeout', '400ms', file])
    const { status, body } = await request(lookout.url)
    expect(status).to.equal(503)
    expect(body).to.contain('did not listen within 400 ms')
  })

  it('gives up on one that does not, and writes beside itself: that is no change that promises anything', async () => {
    const made = "require('node:fs').writeFileSync(__filename + process.pid, '');"
    const file = app(`${COUNT}${made}setInterval(() => {}, 1000)\n`)
    const lookout = await Lookout.start(['--boot-timeout', '400ms', file])
    expect((await request(lookout.url)).status).to.equal(503)
    expect(boots(file).length).to.equal(1)
    fs.appendFileSync(file, '// another try, which is no better\n')
    expect((await request(lookout.url)).status).to.equal(503)
    expect(boots(file).length).to.equal(2)
  })

  it('backs off from an app whose workers crash at once', async function () {
    this.timeout(30_000)
    const file = app(`${COUNT}${GOOD}setImmediate(() => process.exit(1))\n`)
    const lookout = await Lookout.start(['-w', '2', file])
    // What a dying worker had accepted is lost with it; the next is told.
    const { body } = await until('an answer', () => request(lookout.url))
    expect(body).to.contain('exited with code 1 after')
    const end = Date.now() + 5000
    while (Date.now() < end) await request(lookout.url).catch(() => {})
    expect(boots(file).length).to.be.within(3, 8)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })

  it('replaces a worker that crashes once at once, and does not stand in for it', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    await request(lookout.url, '/exit?7')
    await lookout.line(/exited with code 7/)
    expect((await request(lookout.url)).status).to.equal(200)
  })

  it('rests while it fails, and obeys TERM', async () => {
    const lookout = await Lookout.start(['--idle', '300ms', app(THROWS)])
    await request(lookout.url)
    await lookout.rests()
    await request(lookout.url)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })

  it('answers an upgrade and a HEAD, too', async () => {
    const lookout = await Lookout.start([app(THROWS)])
    const head = await request(lookout.url, '/', { method: 'HEAD' })
    expect([head.status, head.body]).to.deep.equal([503, ''])
    const upgrade = await request(lookout.url, '/', { headers: { connection: 'upgrade', upgrade: 'websocket' } })
    expect(upgrade.status).to.equal(503)
  })

  it('says so when node itself cannot be started, and keeps the connection', async () => {
    const folder = temporaryFolder()
    const node = path.join(folder, 'node')
    fs.copyFileSync(process.execPath, node)
    fs.chmodSync(node, 0o755)
    const lookout = await Lookout.start([fixture('plain.js')], { node })
    fs.renameSync(node, `${node}.away`)
    const answer = request(lookout.url)
    await lookout.line(/next try in/)
    fs.renameSync(`${node}.away`, node)
    expect((await answer).body).to.equal('hello')
    expect(lookout.count(/next try in/), 'few tries').to.be.below(10)
  })
})
