/** Which requests wake an app and keep it awake; connections that may be open and yet be nothing; hours in which it does not rest. */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import WebSocket from 'ws'
import { reasonsOf } from '../lib/busy.js'
import { now } from '../lib/clock.js'
import { Misuse } from '../lib/errors.js'
import { awakeUntil, parseHours } from '../lib/hours.js'
import { counts } from '../lib/rules.js'
import { request } from './support/client.js'
import { at, Folder, ports } from './support/folder.js'
import { failures, load } from './support/load.js'
import { cleanups, fixture, Lookout, temporaryFolder, until } from './support/lookout.js'
import { readStats } from './support/stats-file.js'

describe('a rule', () => {
  const asked = (url: string, headers: Record<string, string> = {}, method = 'GET') => ({ url, headers, method })

  it('is meant where all that it says is so; * stands for anything', () => {
    for (const [rule, request, expected] of [
      [{ path: '/health' }, asked('/health'), true],
      [{ path: '/health' }, asked('/health?deep=1'), true],
      [{ path: '/health' }, asked('http://shop/health'), true],
      [{ path: '/health' }, asked('/healthz'), false],
      [{ path: '/health' }, asked('/HEALTH'), false],
      [{ path: '/health*' }, asked('/healthz/x'), true],
      [{ path: '/*/ping' }, asked('/a/b/ping'), true],
      [{ path: '/*/ping' }, asked('/ping'), false],
      [{ path: '/a*a' }, asked('/a'), false],
      [{ path: '*' }, asked('/'), true],
      [{ path: '/a.c' }, asked('/abc'), false],
      [{ method: 'head' }, asked('/', {}, 'HEAD'), true],
      [{ method: 'HEAD', path: '/x' }, asked('/', {}, 'HEAD'), false],
      [{ userAgent: '*uptimerobot*' }, asked('/', { 'user-agent': 'Mozilla (UptimeRobot/2.0)' }), true],
      [{ userAgent: '*' }, asked('/'), true],
      [{ userAgent: 'kube-probe/*' }, asked('/'), false],
      [{ upgrade: 'websocket' }, asked('/', { upgrade: 'WebSocket' }), true],
    ] as const) {
      const what = `${JSON.stringify(rule)} ${JSON.stringify(request)}`
      expect(counts(request, { ignore: [rule] }), `ignore ${what}`).to.equal(!expected)
      expect(counts(request, { wakeOn: [rule] }), `wakeOn ${what}`).to.equal(expected)
    }
  })

  it('of ignore wins over one of wakeOn', () => {
    const rules = { ignore: [{ method: 'HEAD' }], wakeOn: [{ path: '/app/*' }] }
    expect(counts(asked('/app/x'), rules)).to.equal(true)
    expect(counts(asked('/app/x', {}, 'HEAD'), rules)).to.equal(false)
  })

  it('takes no longer for a long text that nearly fits', () => {
    const path = `/${'a'.repeat(100_000)}`
    expect(counts(asked(path), { wakeOn: [{ path: `/${'*a'.repeat(40)}b` }] })).to.equal(false)
  })
})

describe('hours', () => {
  // 2026-11-22 was a Sunday.
  const until = (hours: string, time: string) => awakeUntil(parseHours(hours), new Date(`2026-11-${time}`))

  it('are those of every day, or of some; over midnight and the weekend, too', () => {
    for (const [hours, time, expected] of [
      ['8:00-18:00', '22T08:00', '18:00'],
      ['8:00-18:00', '22T07:59', undefined],
      ['8:00-18:00', '22T18:00', undefined],
      ['mon-fri 8:00-18:00', '22T12:00', undefined],
      ['mon-fri 8:00-18:00', '23T12:00', '18:00'],
      ['MON-FRI 08:00-18:00, sat 10:00-12:05', '28T11:00', '12:05'],
      ['fri-mon 1:00-2:00', '22T01:30', '2:00'],
      ['fri-mon 1:00-2:00', '24T01:30', undefined],
      ['22:00-6:00', '22T23:00', '6:00'],
      ['22:00-6:00', '22T05:59', '6:00'],
      ['22:00-6:00', '22T06:00', undefined],
      ['sat 22:00-6:00', '22T05:00', '6:00'],
      ['sat 22:00-6:00', '21T05:00', undefined],
      ['0:00-24:00', '22T23:59', '0:00'],
    ] as const)
      expect(until(hours, time), `${hours} at ${time}`).to.equal(expected)
  })

  it('are refused where they are none', () => {
    for (const text of [
      '',
      'always',
      '8-18',
      '8:00',
      '25:00-26:00',
      '8:60-9:00',
      '8:00-8:00',
      'moo 8:00-9:00',
      '24:00-1:00',
    ])
      expect(() => parseHours(text), text).to.throw(Misuse, JSON.stringify(text))
  })
})

describe('why an app is awake', () => {
  const none = { requests: 0, upgraded: 0, passedAt: 0, raw: 0, handshakes: 0, holds: [] }

  it('is said of all workers at once, with how long nothing has passed over a WebSocket', () => {
    expect(reasonsOf([none, none])).to.deep.equal([])
    expect(
      reasonsOf([
        { ...none, requests: 1 },
        { ...none, requests: 2, raw: 1 },
      ]),
    ).to.deep.equal(['3 requests in flight', '1 raw connection open'])
    const minutes = (count: number) => now() - count * 60_000
    const silent = { ...none, upgraded: 1, passedAt: minutes(40) }
    expect(reasonsOf([silent, none])).to.deep.equal([
      '1 upgraded connection open, nothing passed for 40 min (--idle-upgraded)',
    ])
    expect(reasonsOf([silent, { ...silent, passedAt: now(), holds: ['reindexing'] }])).to.deep.equal([
      '2 upgraded connections open',
      'hold: reindexing',
    ])
  })
})

describe('--keep-awake', () => {
  const date = new Date()
  const clock = (minutes: number) => `${Math.floor(minutes / 60) % 24}:${`${minutes % 60}`.padStart(2, '0')}`
  const from = (minutes: number) => clock((date.getHours() * 60 + date.getMinutes() + minutes + 24 * 60) % (24 * 60))

  it('has an idle app stay awake, and says so', async () => {
    const file = path.join(temporaryFolder(), 'stats.json')
    const hours = `${from(-60)}-${from(60)}`
    const options = ['--idle', '100ms', '--keep-awake', hours, '--stats-file', file]
    const lookout = await Lookout.start([...options, fixture('plain.js')])
    await request(lookout.url)
    const { master } = lookout
    await until('why', () => fs.existsSync(file) && readStats(file).why === `it is kept awake until ${from(60)}`)
    expect(lookout.master).to.equal(master)
  })

  it('leaves it alone at other times', async () => {
    const lookout = await Lookout.start([
      '--idle',
      '100ms',
      '--keep-awake',
      `${from(60)}-${from(120)}`,
      fixture('plain.js'),
    ])
    await request(lookout.url)
    await lookout.rests()
  })
})

describe('--idle-upgraded', () => {
  async function upgraded(lookout: Lookout): Promise<WebSocket> {
    const socket = new WebSocket(`ws://127.0.0.1:${lookout.port}`)
    cleanups.push(() => socket.terminate())
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return socket
  }

  it('lets an app rest over whose WebSockets nothing but pings passes; they are ended', async () => {
    const lookout = await Lookout.start(['--idle', '300ms', '--idle-upgraded', '600ms', fixture('busy.js')])
    const socket = await upgraded(lookout)
    const ended = new Promise(resolve => socket.once('close', resolve))
    const pings = setInterval(() => socket.ping(), 100)
    cleanups.push(() => clearInterval(pings))
    await lookout.rests()
    await ended
    expect(lookout.stderr).to.include('ends: idle 300 ms')
  })

  it('counts what is more than a ping', async () => {
    const lookout = await Lookout.start(['--idle', '300ms', '--idle-upgraded', '600ms', fixture('busy.js')])
    const socket = await upgraded(lookout)
    const { master } = lookout
    let echoes = 0
    socket.on('message', () => echoes++)
    const messages = setInterval(() => socket.send('a message that says something, and is no ping'), 100)
    cleanups.push(() => clearInterval(messages))
    await until('twice as long as it could have rested', () => echoes >= 20)
    expect(lookout.master).to.equal(master)
    clearInterval(messages)
    await lookout.rests()
  })
})

describe('an app with rules', () => {
  const HEALTH = { 'User-Agent': 'kube-probe/1.31' }

  async function shop(
    rest: object = {},
    configuration: object = {},
  ): Promise<{ folder: Folder; port: number; lookout: Lookout }> {
    const folder = await Folder.make()
    const [port] = await ports(1)
    folder.configure(
      {
        shop: {
          script: 'app.js',
          listen: [port, './shop.sock'],
          ignore: [{ path: '/health' }, { userAgent: 'kube-probe/*' }],
          ...rest,
        },
      },
      configuration,
    )
    return { folder, port: port!, lookout: await folder.up() }
  }

  it('is not woken by what they leave out, at any of its addresses: 503, and when to come again', async () => {
    const { folder, port } = await shop()
    const byName = { headers: { Host: 'shop.localhost' } }
    for (const [url, path, options] of [
      [at(port), '/health', {}],
      [at(port), '/', { headers: HEALTH }],
      [`unix:${folder.path}/shop.sock`, '/health', {}],
      [at(folder.gateway), '/health', byName],
    ] as const) {
      const { status, headers, body } = await request(url, path, options)
      expect([status, headers['retry-after'], body]).to.deep.equal([
        503,
        '30',
        'shop rests, and this request is none that wakes it.\n',
      ])
    }
    expect(folder.app('shop')).to.include({ state: 'rests', wakes: 0 })
    expect((await request(`unix:${folder.path}/shop.sock`)).body).to.equal('hello')
    expect((await request(at(port), '/health')).body, 'while it is awake').to.equal('hello')
    expect(folder.app('shop')).to.include({ state: 'awake', wakes: 1, requests: 2 })
    expect(folder.app('shop').urls).to.deep.equal([`http://localhost:${port}`, `unix:${folder.path}/shop.sock`])
  })

  it('is not kept awake by it', async () => {
    const { folder, port } = await shop({ idle: '500ms' })
    await request(at(port))
    let served = 0
    for (let state = 'awake'; state !== 'rests'; state = folder.app('shop').state)
      if ((await request(at(port), '/health')).status === 200) served++
    expect(served, 'served while it was awake').to.be.above(1)
    expect(folder.app('shop').wakes).to.equal(1)
  })

  it('is woken by nothing but what wakeOn says', async () => {
    const { folder, port } = await shop({ ignore: undefined, wakeOn: [{ path: '/pid', method: 'GET' }] })
    expect((await request(at(port))).status).to.equal(503)
    expect((await request(at(port), '/pid', { method: 'HEAD' })).status).to.equal(503)
    expect(folder.app('shop').wakes).to.equal(0)
    expect((await request(at(port), '/pid')).status).to.equal(200)
  })

  it('neither wakes nor stays awake for a WebSocket that is left out', async () => {
    const { folder, port } = await shop({
      script: fixture('busy.js'),
      ignore: [{ upgrade: 'websocket' }],
      idle: '500ms',
    })
    const open = () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`)
      cleanups.push(() => socket.terminate())
      return new Promise<WebSocket | Error>(resolve =>
        socket.once('open', () => resolve(socket)).once('error', resolve),
      )
    }
    expect(await open())
      .to.be.an('error')
      .with.property('message', 'Unexpected server response: 503')
    expect(folder.app('shop').wakes).to.equal(0)
    await request(at(port))
    const socket = (await open()) as WebSocket
    const ended = new Promise(resolve => socket.once('close', resolve))
    const messages = setInterval(() => socket.readyState === 1 && socket.send('a message that says something'), 50)
    cleanups.push(() => clearInterval(messages))
    await ended
    await until('at rest', () => folder.app('shop').state === 'rests')
  })

  it('is as ever to who comes by its address: another host on the same connection, and what is malformed', async () => {
    const { port } = await shop()
    const said = (text: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.write(text))
        let heard = ''
        socket.setEncoding('latin1').on('data', chunk => (heard += chunk))
        socket.on('error', reject).on('close', () => resolve(heard))
      })
    const get = (host: string, more = '') => `GET / HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
    const both = await said(get('shop.localhost') + get('elsewhere', 'Connection: close\r\n'))
    expect(both.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200', 'HTTP/1.1 200'])
    expect(await said('NONSENSE\r\n\r\n')).to.match(/^HTTP\/1\.1 400 /)
    expect(await said('GET / HTTP/1.0\r\n\r\n')).to.match(/^HTTP\/1\.1 200 /)
  })

  it('needs no gateway of its own', async () => {
    const { folder, port } = await shop({}, { gateway: false })
    expect((await request(at(port), '/health')).status).to.equal(503)
    expect((await request(at(port))).body).to.equal('hello')
    expect(folder.app('lookout').urls).to.deep.equal([])
  })

  it('comes to have them, and loses them, at a reload under load, which loses nobody', async () => {
    const { folder, port } = await shop({ ignore: undefined })
    const client = load(at(port), { clients: 4, keepAlive: false })
    const configure = (rest: object) =>
      folder.configure({ shop: { script: 'app.js', listen: [port, './shop.sock'], ...rest } })
    for (const rest of [{ ignore: [{ path: '/health' }] }, {}, { wakeOn: [{ path: '/' }] }, {}]) {
      const { ok } = client.counts
      configure(rest)
      expect((await folder.start('reload')).text).to.match(/^reloaded: 1 app, 0 new, 1 changed, 0 gone$/m)
      await until('served', () => client.counts.ok > ok + 50)
    }
    expect(failures(await client.stop()), client.errors.join('\n')).to.equal(0)
    expect((await request(at(port), '/health')).body).to.equal('hello')
  }).timeout(60_000)
})
