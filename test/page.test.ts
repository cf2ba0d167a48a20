/** The gateway's page: how the apps are, live, and its buttons; and that nobody else can press them. */
import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { isLoopback, mayAct, refusal } from '../lib/gateway-rules.js'
import { Streams, type View } from '../lib/gateway-stream.js'
import { startBrowser } from './support/browser.js'
import { type Reply, request } from './support/client.js'
import { at, Folder, ports } from './support/folder.js'
import { childrenOf, cleanups, type Lookout, until } from './support/lookout.js'

/** What an app may say that fails: it is long, has no room to break, and is no HTML. */
const WRONG = `<img src=x onerror=alert(1)> & "no" \u001b[31mDATABASE_URL\u001b[0m ${'/a/long/path'.repeat(20)}`

interface Held {
  folder: Folder
  lookout: Lookout
  url: string
  /** What buttons have to send. */
  token: string
}

/** Two apps that run, one that does not, and what else is wanted. */
async function held(rest: object = {}): Promise<Held> {
  const folder = await Folder.make()
  fs.writeFileSync(path.join(folder.path, 'broken.js'), `throw new Error(${JSON.stringify(WRONG)})`)
  const app = { script: 'app.js' }
  folder.configure({ shop: app, blog: { ...app, hosts: ['blog.test'] }, broken: { script: 'broken.js' }, ...rest })
  const lookout = await folder.up()
  const url = at(folder.gateway)
  return { folder, lookout, url, token: tokenOf(await request(url)) }
}

const tokenOf = ({ body }: Reply) => /name="token" value="([^"]+)"/.exec(body)?.[1] ?? ''

/** A row of the page, tags left out. */
function rowOf({ body }: Reply, app: string): string {
  const [row = ''] = new RegExp(`<tr role="row" data-app="${app}">.*?</tr>`, 's').exec(body) ?? []
  return row
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

interface Press {
  /** undefined: not sent. */
  headers?: Record<string, string | undefined>
  body?: string
  method?: string
}

/** A button, as a browser sends it; `how` says what is to be different. */
function press({ url, token }: Held, action: string, { headers = {}, ...how }: Press = {}): Promise<Reply> {
  const all = { 'Content-Type': 'application/x-www-form-urlencoded', Origin: url, ...headers }
  return request(url, `/${action}`, {
    method: 'POST',
    headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
    body: `token=${token}`,
    ...how,
  })
}

const state = ({ folder }: Held, app = 'shop') => folder.app(app).state

describe('the page of the gateway', () => {
  it("shows every app of its own lookout, and wakes none: an app's words are text", async () => {
    const { folder, url } = await held()
    const other = await Folder.make()
    other.configure({ foreign: { script: 'app.js' } })
    await other.up({ XDG_RUNTIME_DIR: folder.runtime })
    expect(folder.app('foreign').state).to.equal('rests')
    const first = await request(url)
    expect(first.body).not.to.include('foreign')
    expect(first.body).to.include('3 apps').and.not.to.include('data-app="lookout"')
    expect(rowOf(first, 'shop')).to.match(
      /^shop shop\.localhost localhost:\d+ rests it was not woken yet – 0 MB 0 0 Wake shop$/,
    )
    expect(['shop', 'blog', 'broken'].map(name => folder.app(name).state)).to.deep.equal(['rests', 'rests', 'rests'])

    for (const name of ['shop', 'broken']) await request(url, '/', { headers: { Host: `${name}.localhost` } })
    await until('the board', () => folder.app('shop').why.startsWith('rests in'))
    const page = await request(url)
    const { master } = folder.app('shop')
    expect(rowOf(page, 'shop')).to.match(
      new RegExp(`awake since \\d\\d:\\d\\d rests in .* s ${master} \\d\\d+ MB 1 1 Rest shop Restart shop$`),
    )
    expect(rowOf(page, 'broken')).to.include(
      'fails the app failed to start at broken.js:1: &#60;img src=x onerror=alert(1)&#62; &#38; &#34;no&#34; DATABASE_URL /a',
    )
    expect(page.body).not.to.include('<img')
    expect(page.body).to.include(`<a href="http://blog.test:${folder.gateway}/">blog.test</a>`)
    expect(rowOf(page, 'blog')).to.include('rests')
  })

  it('shows a program, which it cannot wake', async () => {
    const [port] = await ports(1)
    const page = await held({ program: { command: ['/bin/true'], listen: port } })
    expect(rowOf(await request(page.url), 'program')).to.equal(
      `program localhost:${port} rests it was not woken yet – 0 MB 0 0`,
    )
    const { status, body } = await press(page, 'wake/program')
    expect(status).to.equal(502)
    expect(body).to.include('<h1>cannot wake program: it is reached by its addresses alone</h1>')
  })

  it('is at / alone', async () => {
    const { folder } = await held()
    for (const [target, expected] of [
      ['/', 200],
      ['/?a=b', 200],
      [`http://localhost:${folder.gateway}/`, 200],
      ['//', 404],
      ['http://[/', 200],
      ['/favicon.ico', 404],
      ['/wake', 404],
      ['/wake/shop/..', 404],
      ['/wake/%00', 404],
    ] as const) {
      const reply = await request(at(folder.gateway), target, { headers: { Host: `localhost:${folder.gateway}` } })
      expect(reply.status, target).to.equal(expected)
    }
  })

  it('may load nothing, be framed by nobody, and be sent nowhere else', async () => {
    const { url } = await held()
    const [one, other, unknown] = await Promise.all([
      request(url),
      request(url),
      request(url, '/', { headers: { Host: 'nobody.localhost' } }),
    ])
    for (const { headers, body } of [one, other, unknown]) {
      const policy = String(headers['content-security-policy'])
      const [, nonce = ''] = /style-src 'nonce-([^']{16,})'/.exec(policy) ?? []
      expect(policy).to.equal(
        `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
      )
      expect(body).to.include(`<style nonce="${nonce}">`)
      expect(headers).to.include({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        connection: 'close',
      })
    }
    const policies = [one, other].map(({ headers }) => headers['content-security-policy'])
    expect(policies[0]).not.to.equal(policies[1])
  })

  it('has buttons that wake an app, put it to rest, and restart it', async () => {
    const page = await held()
    const { status, headers } = await press(page, 'wake/shop')
    expect([status, headers.location, headers.connection]).to.deep.equal([303, '/', 'close'])
    expect(state(page)).to.equal('awake')
    const { master } = page.folder.app('shop')
    const [worker] = await until('a worker', () => {
      const workers = childrenOf(master!)
      return workers.length === 1 ? workers : undefined
    })
    expect((await press(page, 'restart/shop')).status).to.equal(303)
    await until('another worker', () => childrenOf(master!).length === 1 && !childrenOf(master!).includes(worker!))
    await until('how it went', async () =>
      rowOf(await request(page.url), 'shop').includes('Last restart: restarted 1 worker'),
    )
    expect(page.folder.app('shop').master).to.equal(master)

    expect((await press(page, 'rest/shop')).status).to.equal(303)
    await until('rest', () => state(page) === 'rests')
    expect(rowOf(await request(page.url), 'shop')).to.match(/rests since \d\d:\d\d stopped/)
    expect((await press(page, 'rest/shop')).status, 'at rest').to.equal(303)
    expect((await press(page, 'restart/shop')).status, 'at rest').to.equal(303)
    expect(state(page)).to.equal('rests')
  })

  it('tells an app to rest that is only just being woken', async () => {
    const page = await held()
    await Promise.all([press(page, 'wake/shop'), press(page, 'wake/blog')])
    const replies = await Promise.all(['shop', 'blog'].map(name => press(page, `rest/${name}`)))
    expect(replies.map(({ status }) => status)).to.deep.equal([303, 303])
    await until('rest', () => state(page) === 'rests' && state(page, 'blog') === 'rests')
  })

  it('does nothing for who is not that page', async () => {
    const page = await held()
    const { folder, token, url } = page
    const host = `127.0.0.1:${folder.gateway}`
    const evil = `evil.test:${folder.gateway}`
    const cases: [string, Press & { path?: string }, number][] = [
      ['GET', { method: 'GET' }, 405],
      ['HEAD', { method: 'HEAD' }, 405],
      ['GET with the token', { method: 'GET', path: `wake/shop?token=${token}` }, 405],
      ['another site', { headers: { Origin: 'http://evil.test' } }, 403],
      ['an app', { headers: { Origin: `http://blog.localhost:${folder.gateway}` } }, 403],
      ['another port', { headers: { Origin: 'http://127.0.0.1:1' } }, 403],
      ['another name of ours', { headers: { Origin: `http://localhost:${folder.gateway}` } }, 403],
      ['TLS', { headers: { Origin: `https://${host}` } }, 403],
      ['a frame without an origin', { headers: { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' } }, 403],
      ['no origin', { headers: { Origin: undefined } }, 403],
      ['no origin, another site', { headers: { Origin: undefined, 'Sec-Fetch-Site': 'same-site' } }, 403],
      ['no token', { body: '' }, 403],
      ['a wrong token', { body: `token=${token.replace(/^./, 'x')}` }, 403],
      ['half a token', { body: `token=${token.slice(0, 18)}` }, 403],
      ['too long', { body: `${'a=b&'.repeat(300)}token=${token}` }, 413],
      ['a name that leads here', { headers: { Host: evil, Origin: `http://${evil}` } }, 404],
      ['no port', { headers: { Host: '127.0.0.1', Origin: 'http://127.0.0.1' } }, 400],
      ['a wrong port', { headers: { Host: '127.0.0.1:1', Origin: 'http://127.0.0.1:1' } }, 400],
      [
        'another address',
        { headers: { Host: `127.0.0.2:${folder.gateway}`, Origin: `http://127.0.0.2:${folder.gateway}` } },
        400,
      ],
      ['an app that is not there', { path: 'wake/nobody' }, 404],
      ['what is not an app', { path: 'wake/lookout' }, 404],
      ['what no button does', { path: 'stop/shop' }, 404],
    ]
    for (const [what, { path = 'wake/shop', ...how }, expected] of cases) {
      const reply = await press(page, path, { ...how, headers: { Host: host, ...how.headers } })
      expect(reply.status, what).to.equal(expected)
      expect(reply.body, what).not.to.include(token)
    }
    expect((await request(url, '/', { method: 'PUT', headers: { Origin: url } })).status).to.equal(405)
    expect(['shop', 'blog'].map(name => folder.app(name).wakes)).to.deep.equal([0, 0])
    const { status } = await press(page, 'wake/shop', {
      headers: { Origin: undefined, 'Sec-Fetch-Site': 'same-origin' },
    })
    expect(status).to.equal(303)
    expect(state(page)).to.equal('awake')
  })

  it('has no buttons where they would do nothing', async () => {
    const { url, folder } = await held()
    for (const [host, has] of [
      [`localhost:${folder.gateway}`, true],
      [`[::1]:${folder.gateway}`, true],
      ['localhost:1', false],
      [`192.168.1.1:${folder.gateway}`, false],
    ] as const) {
      const page = await request(url, '/', { headers: { Host: host } })
      expect([page.status, page.body.includes('<button'), tokenOf(page) !== ''], host).to.deep.equal([200, has, has])
    }
  })

  it('is for this machine alone', () => {
    for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])
      expect(isLoopback(address), address).to.equal(true)
    for (const address of [
      '192.168.1.1',
      '::ffff:10.0.0.1',
      'fe80::1',
      '1127.0.0.1',
      '127.0.0.1.evil.test',
      '',
      undefined,
    ])
      expect(isLoopback(address), address).to.equal(false)
    const from = (remoteAddress: string) =>
      ({
        method: 'POST',
        headers: { host: 'localhost:8080', origin: 'http://localhost:8080' },
        rawHeaders: ['Host', 'localhost:8080', 'Origin', 'http://localhost:8080'],
        socket: { remoteAddress },
      }) as unknown as http.IncomingMessage
    expect([refusal(from('127.0.0.1'), 8080), mayAct(from('127.0.0.1'), 8080)]).to.deep.equal([undefined, true])
    expect([refusal(from('10.0.0.1'), 8080)?.[0], mayAct(from('10.0.0.1'), 8080)]).to.deep.equal([403, false])
    const twice = { ...from('::1'), rawHeaders: ['Host', 'localhost:8080', 'host', 'localhost:8080'] }
    expect(refusal(twice as http.IncomingMessage, 8080)?.[0]).to.equal(400)
  })

  it('lets go of who sends half a request', async () => {
    const { folder, token } = await held()
    const socket = net.connect(folder.gateway, '127.0.0.1')
    cleanups.push(() => void socket.destroy())
    socket.on('error', () => {})
    const head = `POST /wake/shop HTTP/1.1\r\nHost: 127.0.0.1:${folder.gateway}\r\nOrigin: ${at(folder.gateway)}\r\nContent-Length: 99\r\n\r\n`
    socket.resume().write(`${head}token=${token}`)
    await until('the end', () => socket.closed, 13_000)
    expect(folder.app('shop').wakes).to.equal(0)
  })
})

/** What an event stream says, as it comes. */
class Events {
  text = ''
  ended = false
  headers: http.IncomingHttpHeaders = {}

  static open(url: string, headers: http.OutgoingHttpHeaders = {}): Promise<Events> {
    const events = new Events()
    return new Promise((resolve, reject) => {
      const agent = new http.Agent({ keepAlive: true }) // as a browser's
      const outgoing = http.get(`${url}/events`, { headers, agent }, response => {
        events.headers = response.headers
        response.setEncoding('utf8').on('data', text => {
          events.text += text
          resolve(events)
        })
        response.on('close', () => {
          events.ended = true
        })
      })
      outgoing.on('error', reject)
      cleanups.push(() => agent.destroy())
    })
  }

  /** What its events of a name carry. */
  of(name: string): { cells: [string, string][]; names: string[]; token?: string }[] {
    const found = this.text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)
    return [...found].filter(([, type]) => type === name).map(([, , data]) => JSON.parse(data!))
  }
}

describe('the events of the gateway', () => {
  it('say all, then what has changed, when it has', async () => {
    const page = await held()
    const events = await Events.open(page.url)
    expect(events.headers).to.include({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const [all] = events.of('all')
    expect(all!.names).to.deep.equal(['shop', 'blog', 'broken'])
    expect(all!.token).to.equal(page.token)
    expect(Object.fromEntries(all!.cells)['state.shop']).to.include('rests')
    expect(page.folder.app('shop').wakes).to.equal(0)

    await press(page, 'wake/shop')
    const cells = () => new Map(events.of('some').flatMap(({ cells }) => cells))
    await until('the news', () => cells().get('state.shop')?.includes('awake'))
    expect(
      [...cells().keys()].filter(id => !id.endsWith('.shop')),
      'of another',
    ).to.deep.equal([])
    expect(cells().get('actions.shop')).to.include('/restart/shop')
    expect(
      events.of('some').every(({ cells }) => cells.length > 0),
      'nothing is said of nothing',
    ).to.equal(true)
  })

  it('keep the gateway awake; but told to rest, it does so at once', async () => {
    const { folder, lookout, url } = await held()
    const events = await Events.open(url)
    const { master } = folder.app('lookout')
    await until('why', () => folder.app('lookout').why === '1 raw connection open')
    const begun = Date.now()
    expect(folder.run('rest', 'lookout').stdout).to.equal('lookout rests\n')
    expect(Date.now() - begun).to.be.below(10_000)
    await until('the end', () => events.ended)
    expect(events.of('pause')).to.deep.equal([])
    const next = await Events.open(url)
    expect(folder.app('lookout').master).not.to.equal(master)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    expect(next.ended).to.equal(true)
    expect(Date.now() - begun).to.be.below(20_000)
  })

  it('are for the page alone', async () => {
    const page = await held()
    const open = (headers: http.OutgoingHttpHeaders) => request(page.url, '/events', { headers })
    expect((await open({ 'Sec-Fetch-Site': 'cross-site' })).status).to.equal(403)
    expect((await open({ 'Sec-Fetch-Site': 'same-site' })).status).to.equal(403)
    expect((await open({ Host: 'evil.test' })).status).to.equal(404)
    const events = await Events.open(page.url, { Host: 'localhost:1', 'Sec-Fetch-Site': 'same-origin' })
    expect(events.of('all')[0]!.token).to.equal(undefined)
  })

  it('end when nothing happens for long, and begin again when something has', async () => {
    let view: View = { sign: 'a', names: [], summary: '', cells: [['memory.shop', '1 MB']] }
    let looks = 0
    const look = () => {
      looks++
      return view
    }
    const streams = new Streams(look, { look: 10, quiet: 1000, retry: 4711 })
    const open = (last?: string) => {
      const client = Object.assign(new EventEmitter(), { text: '', ended: false, kept: false, writableLength: 0 })
      const write = (text: string) => (client.text += text)
      const end = (text = '') => {
        client.text += text
        client.ended = true
        client.emit('close')
      }
      const headers = last === undefined ? {} : { 'last-event-id': last }
      const response = Object.assign(client, { write, end }) as unknown as http.ServerResponse
      streams.add({ headers } as http.IncomingMessage, response, undefined, () => {
        client.kept = true
      })
      return client
    }
    const signals = process.listenerCount('SIGTERM')
    const one = open()
    expect([one.kept, one.ended, process.listenerCount('SIGTERM')]).to.deep.equal([true, false, signals + 1])
    await until('it has looked', () => looks > 20)
    expect(one.text, 'all is as it was').not.to.include('event: some')
    let memory = 1
    const fluctuates = setInterval(() => {
      view = { ...view, cells: [['memory.shop', `${++memory} MB`]] }
    }, 10)
    cleanups.push(() => clearInterval(fluctuates))
    const before = looks
    await until('it has looked on', () => looks > before + 20)
    view = { ...view, sign: 'b' } // that is something that happens
    const happened = Date.now()
    await until('the end', () => one.ended)
    expect(Date.now() - happened).to.be.above(990)
    expect(one.text)
      .to.include('event: some')
      .and.to.match(/retry: 4711\nid: b\nevent: pause\ndata: {}\n\n$/)
    expect(process.listenerCount('SIGTERM')).to.equal(signals)
    const again = open('b')
    expect([again.kept, again.ended, again.text.includes('event: all')]).to.deep.equal([false, true, true])
    const later = open('a')
    expect([later.kept, later.ended]).to.deep.equal([true, false])
    later.emit('close')
  })
})

describe('the page of the gateway in a browser', () => {
  const browser = startBrowser()

  /** Of somebody, until the test ends; what is wrong comes into `wrong`. */
  async function visit(url: string, options: BrowserContextOptions = {}): Promise<{ page: Page; wrong: string[] }> {
    const context = await browser().newContext(options)
    cleanups.push(() => context.close())
    const page = await context.newPage()
    const wrong: string[] = []
    page.on('console', message => /error|warning/.test(message.type()) && wrong.push(message.text()))
    page.on('pageerror', error => wrong.push(error.message))
    await page.goto(url)
    return { page, wrong }
  }

  const row = (page: Page, app: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: app }) })

  const textOf = async (page: Page, app: string) => (await row(page, app).textContent())!

  const shows = (page: Page, app: string, text: RegExp) =>
    until(`${app}: ${text}`, async () => text.test(await textOf(page, app)))

  it('is live, and its buttons leave it where it is', async () => {
    const { url } = await held()
    const { page, wrong } = await visit(url)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.evaluate('document.title = "the same"')
    expect(await page.getByRole('row').count()).to.equal(4)
    await page.getByRole('button', { name: 'Wake shop' }).press('Enter')
    await shows(page, 'shop', /awake/)
    await until('it said', async () => /^shop awake/.test((await page.getByRole('status').textContent())!))
    expect(await page.evaluate('document.activeElement.textContent'), 'the focus').to.equal('Rest shop')
    await page.getByRole('button', { name: 'Restart shop' }).click()
    await shows(page, 'shop', /Last restart: restarted 1 worker/)
    await page.getByRole('button', { name: 'Rest shop' }).click()
    await shows(page, 'shop', /restssince/)
    await request(url, '/', { headers: { Host: 'broken.localhost' } })
    await shows(page, 'broken', /fails.*<img src=x onerror=alert\(1\)> & "no" DATABASE_URL/s)
    expect(await page.locator('#summary').textContent()).to.match(/^0 awake, 1 fails, 2 rest; \d+ MB$/)
    expect(await page.title()).to.equal('the same')
    expect(wrong).to.deep.equal([])
  })

  it('outlives the gateway that it is of, and its lookout’s reload', async () => {
    const { folder, url, token } = await held()
    const { page, wrong } = await visit(url)
    await page.getByText('Live', { exact: true }).waitFor()
    expect(await folder.start('rest', 'lookout')).to.include({ code: 0 })
    await until('another gateway', async () => (await page.locator('[name=token]').inputValue()) !== token)
    await page.getByRole('button', { name: 'Wake blog' }).click()
    await shows(page, 'blog', /awake/)
    expect(wrong).to.deep.equal([])
    await page.evaluate(`document.querySelector('[name=token]').value = '${token}'`)
    await page.getByRole('button', { name: 'Rest blog' }).click()
    await shows(page, 'blog', /restssince/)
    folder.configure({ shop: { script: 'app.js' }, fresh: { script: 'app.js' } })
    expect(await folder.start('reload')).to.include({ code: 0 })
    await shows(page, 'fresh', /rests/)
    expect(await row(page, 'blog').count()).to.equal(0)

    const { master } = folder.app('lookout')
    folder.configure({ shop: { script: 'app.js' }, fresh: { script: 'app.js', idle: '40s' } })
    const { code, text } = await folder.start('reload')
    expect([code, text]).to.deep.equal([0, 'reloaded: 2 apps, 0 new, 1 changed, 0 gone\n'])
    expect(folder.app('lookout').master, 'which it is no business of').to.equal(master)
  })

  it('works without script', async () => {
    const { url } = await held()
    const { page, wrong } = await visit(url, { javaScriptEnabled: false })
    await page.getByRole('button', { name: 'Wake shop' }).click()
    expect(await textOf(page, 'shop')).to.match(/awake/)
    await until('a worker', async () => {
      await page.reload()
      return /rests in/.test(await textOf(page, 'shop'))
    })
    await page.getByRole('button', { name: 'Restart shop' }).click()
    await until('how it went', async () => {
      await page.reload()
      return /restarted 1 worker/.test(await textOf(page, 'shop'))
    })
    await page.getByRole('button', { name: 'Rest shop' }).click()
    await until('rest', async () => {
      await page.reload()
      return /restssince/.test(await textOf(page, 'shop'))
    })
    expect(await page.locator('noscript').textContent()).to.equal('Reload to see what has changed.')
    expect(page.url()).to.equal(`${url}/`)
    expect(wrong).to.deep.equal([])
  })

  it('is pressed by no other site', async () => {
    const held_ = await held()
    const { folder } = held_
    const { page } = await visit(`http://shop.localhost:${folder.gateway}/`)
    for (const host of ['localhost', '127.0.0.1']) {
      const url = `http://${host}:${folder.gateway}`
      await page.evaluate(
        `fetch('${url}/wake/blog', { method: 'POST', mode: 'no-cors', body: new URLSearchParams({ token: '${held_.token}' }) }).catch(() => {})`,
      )
      expect(await page.evaluate(`fetch('${url}/').then(() => 'read', () => 'refused')`)).to.equal('refused')
    }
    const answer = page.waitForResponse(/wake/)
    await page.evaluate(
      `document.body.innerHTML = '<form method="post" action="http://localhost:${folder.gateway}/wake/blog"><input name="token" value="${held_.token}"></form>'; document.forms[0].submit()`,
    )
    expect((await answer).status()).to.equal(403)
    await page.getByRole('link', { name: 'The apps' }).click()
    expect(await textOf(page, 'blog')).to.match(/it was not woken yet/)
  })

  it('is light or dark, and has room on a narrow screen', async () => {
    const names = Array.from({ length: 9 }, (_, index) => `an-app-that-has-a-rather-long-name-${index}`)
    const { url } = await held(Object.fromEntries(names.map(name => [name, { script: 'app.js' }])))
    await request(url, '/', { headers: { Host: 'broken.localhost' } })
    const grounds = new Set<unknown>()
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, wrong } = await visit(url, { colorScheme, viewport: { width: 360, height: 740 } })
      expect(await page.getByRole('row').count()).to.equal(13)
      expect(await textOf(page, 'broken')).to.match(/fails/)
      expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(360)
      expect(await page.getByRole('columnheader', { name: 'State' }).count()).to.equal(1)
      grounds.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'))
      expect(wrong).to.deep.equal([])
    }
    expect(grounds).to.have.property('size', 2)
  })
})
