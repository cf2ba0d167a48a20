/** Apps by name, through the gateway: which hands their connections over, and sees no byte after that. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { io } from 'socket.io-client'
import WebSocket from 'ws'
import { Came } from '../lib/handoff.js'
import { handoffFile } from '../lib/instances.js'
import { posix } from '../lib/posix.js'
import { request } from './support/client.js'
import { Folder } from './support/folder.js'
import { ticks } from './support/kernel.js'
import { failures, load } from './support/load.js'
import { childrenOf, cleanups, type Lookout, ROOT, until } from './support/lookout.js'
import { raw } from './support/raw.js'

const EXPRESS = `const express = require('express')
const { createHash } = require('node:crypto')
const app = express()
app.get('/', (_, response) => response.send(process.env.SAYS))
app.get('/who', (request, response) => response.json([request.socket.remoteAddress, request.socket.remotePort, request.headers.host]))
app.get('/events', (_, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  let count = 0
  const timer = setInterval(() => { response.write('data: ' + ++count + '\\n\\n'); if (count === 3) { clearInterval(timer); response.end() } }, 50)
})
app.post('/upload', (request, response) => {
  const hash = createHash('sha1')
  request.on('data', chunk => hash.update(chunk)).on('end', () => response.send(hash.digest('hex')))
})
const server = app.listen(3000)
const { WebSocketServer } = require('ws')
const sockets = new WebSocketServer({ noServer: true })
server.on('upgrade', (request, socket, head) => {
  if (request.url !== '/ws') return
  sockets.handleUpgrade(request, socket, head, socket => socket.on('message', data => socket.send('echo ' + data)))
})
new (require('socket.io').Server)(server).on('connection', socket => socket.on('ask', (text, answer) => answer('heard ' + text)))
`

/** Two apps, and what else is wanted. */
async function gateway(
  rest: object = {},
  options: object = {},
): Promise<{ folder: Folder; lookout: Lookout; url: string }> {
  const folder = await Folder.make()
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder.path, 'node_modules'))
  fs.writeFileSync(path.join(folder.path, 'express.js'), EXPRESS)
  const app = (says: string) => ({ script: 'express.js', env: { SAYS: says }, ...options })
  folder.configure({ shop: app('shop'), blog: { ...app('blog'), hosts: ['blog.test'] }, ...rest })
  return { folder, lookout: await folder.up(), url: `http://127.0.0.1:${folder.gateway}` }
}

/** Both ends of a TCP connection; the accepted one as a descriptor. */
async function connection(): Promise<[net.Socket, number]> {
  const listening = posix.socket(posix.AF_INET)
  cleanups.push(() => posix.close(listening))
  posix.bind(listening, posix.AF_INET, '127.0.0.1', 0)
  posix.listen(listening, 1)
  const socket = net.connect(posix.getsockname(listening)[2], '127.0.0.1')
  cleanups.push(() => void socket.destroy())
  await once(socket, 'connect')
  return [socket, posix.accept(listening)]
}

const named = (host: string) => ({ headers: { Host: host } })

/** Everything that comes back for these bytes, until the connection ends. */
async function answer(port: number, parts: string[], pause = 0): Promise<string> {
  return (await raw(port, parts, { pause })).text
}

const status = (text: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])

describe('the gateway', () => {
  it('has an app woken by its name, and both rest again', async () => {
    const { folder, lookout, url } = await gateway({}, { idle: '1s' })
    expect(childrenOf(lookout.pid)).to.deep.equal([])
    expect((await request(url, '/', named('shop.localhost'))).body).to.equal('shop')
    expect((await request(url, '/', named(`blog.localhost:${folder.gateway}`))).body).to.equal('blog')
    expect((await request(url, '/', named('BLOG.localhost.'))).body).to.equal('blog')
    expect((await request(url, '/', named('blog.test'))).body).to.equal('blog')
    expect(folder.app('shop').requests).to.equal(1)
    await until('apps at rest', () => ['shop', 'blog'].every(name => folder.app(name).state === 'rests'))
    expect((await request(url, '/', named('shop.localhost'))).body).to.equal('shop')
    expect(folder.app('shop').wakes).to.equal(2)
  })

  it('rests itself', async () => {
    const { folder, lookout, url } = await gateway()
    await request(url, '/', named('shop.localhost'))
    expect(folder.run('rest', 'lookout').stdout).to.equal('lookout rests\n')
    expect(childrenOf(lookout.pid)).to.have.length(1)
    expect((await request(url, '/', named('blog.localhost'))).body).to.equal('blog')
  })

  it('leaves the client who it is, and passes no byte once it has handed it over', async () => {
    const { folder, url } = await gateway()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    cleanups.push(() => agent.destroy())
    const { body } = await request(url, '/who', { ...named('shop.localhost'), agent })
    const [socket] = Object.values(agent.freeSockets).flat() as net.Socket[]
    expect(JSON.parse(body)).to.deep.equal(['127.0.0.1', socket!.localPort, 'shop.localhost'])
    expect(folder.run('rest', 'lookout').status).to.equal(0)
    expect((await request(url, '/', { ...named('shop.localhost'), agent })).body, 'without a gateway').to.equal('shop')
  })

  it('WebSocket, Socket.IO and server-sent events go through', async () => {
    const { folder, url } = await gateway()
    const socket = new WebSocket(`ws://127.0.0.1:${folder.gateway}/ws`, { headers: { Host: 'shop.localhost' } })
    cleanups.push(() => socket.terminate())
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const echoed = new Promise(resolve => socket.once('message', data => resolve(String(data))))
    socket.send('hello')
    expect(await echoed).to.equal('echo hello')

    for (const transport of ['polling', 'websocket']) {
      // No resolver is asked: browsers know by themselves where *.localhost is.
      const lookup = (_: string, __: unknown, done: (error: null, found: object[]) => void) =>
        done(null, [{ address: '127.0.0.1', family: 4 }])
      const agent = new http.Agent({ lookup: lookup as unknown as net.LookupFunction })
      const client = io(`http://blog.localhost:${folder.gateway}`, {
        transports: [transport],
        agent,
        reconnection: false,
      } as object)
      cleanups.push(() => void client.close())
      await new Promise<void>((resolve, reject) => client.once('connect', resolve).once('connect_error', reject))
      expect(await client.timeout(5000).emitWithAck('ask', transport)).to.equal(`heard ${transport}`)
    }

    const events = await request(url, '/events', named('shop.localhost'))
    expect(events.body).to.equal('data: 1\n\ndata: 2\n\ndata: 3\n\n')
  })

  it('an upload of 1 GB goes through, and no byte of it through the gateway', async () => {
    const { folder } = await gateway()
    const hash = createHash('sha1')
    function* gigabyte() {
      for (let count = 0; count < 1024; count++) {
        const piece = Buffer.alloc(2 ** 20, `${count} `)
        hash.update(piece)
        yield piece
      }
    }
    const outgoing = http.request({
      port: folder.gateway,
      host: '127.0.0.1',
      path: '/upload',
      method: 'POST',
      ...named('shop.localhost'),
    })
    const replied = new Promise<http.IncomingMessage>(resolve => outgoing.once('response', resolve))
    Readable.from(gigabyte()).pipe(outgoing)
    let text = ''
    for await (const chunk of await replied) text += chunk
    expect(text).to.equal(hash.digest('hex'))
    const [worker] = childrenOf(folder.app('lookout').master!)
    expect(Number(/^rchar: (\d+)$/m.exec(fs.readFileSync(`/proc/${worker}/io`, 'utf8'))![1])).to.be.below(16 * 2 ** 20)
  }).timeout(60_000)

  it('refuses a later request on the same connection that is for another host: 421', async () => {
    const { folder } = await gateway()
    const get = (host: string, more = '') => `GET / HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
    const text = await answer(
      folder.gateway,
      [get('shop.localhost'), get('shop.localhost'), get('blog.localhost')],
      300,
    )
    expect(text.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 421'])
    const upgrade =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    const upgraded = await answer(folder.gateway, [get('shop.localhost'), get('blog.localhost', upgrade)], 300)
    expect(upgraded.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200', 'HTTP/1.1 421'])
  })

  it('says which apps there are, to who asks for none of them; and wakes none for it', async () => {
    const { folder, url } = await gateway()
    for (const [host, expected] of [
      ['localhost', 200],
      ['127.0.0.1:8080', 200],
      ['[::1]', 200],
      ['nobody.localhost', 404],
      ['shop', 404],
      ['<script>.localhost', 404],
    ] as const) {
      const { status, body, headers } = await request(url, '/', named(host))
      expect(status, host).to.equal(expected)
      expect(body).to.include(`<a href="http://shop.localhost:${folder.gateway}/">shop.localhost</a>`)
      expect(body).not.to.include('<script>')
      expect(headers['content-type']).to.equal('text/html; charset=utf-8')
    }
    expect(folder.app('shop').state).to.equal('rests')
  })

  it('answers for an app that fails, as that would be answered for anywhere', async () => {
    const folder = await Folder.make()
    fs.writeFileSync(path.join(folder.path, 'broken.js'), 'throw new Error("no way")')
    folder.configure({ broken: { script: 'broken.js' } })
    await folder.up()
    const url = `http://127.0.0.1:${folder.gateway}`
    const { status, body } = await request(url, '/', named('broken.localhost'))
    expect(status).to.equal(503)
    expect(body).to.match(/no way/)
    fs.copyFileSync(path.join(folder.path, 'app.js'), path.join(folder.path, 'broken.js'))
    await until('mended', async () => (await request(url, '/', named('broken.localhost'))).body === 'hello')
  })

  it('takes a head that comes byte by byte, and cuts off who sends none', async () => {
    const { folder } = await gateway()
    const slow = answer(folder.gateway, [...'GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n'], 5)
    expect(await slow).to.match(/^HTTP\/1\.1 200 OK\r\n.*shop$/s)
    const [worker] = childrenOf(folder.app('lookout').master!)
    const before = ticks(worker!)
    const silent = answer(folder.gateway, ['GET / HTTP/1.1\r\nHost: shop'])
    expect(await silent).to.match(/^HTTP\/1\.1 408 /)
    expect(ticks(worker!) - before, 'it does not look again and again at half a head').to.be.below(200)
  })

  it('refuses what is no request for one host, as Node does, or with 400', async () => {
    const { folder } = await gateway()
    const head = (line: string, ...headers: string[]) => [
      `${line}\r\n${headers.map(header => `${header}\r\n`).join('')}\r\n`,
    ]
    const close = 'Connection: close'
    for (const [parts, expected] of [
      [head('GET / HTTP/1.1', close), 400],
      [head('GET / HTTP/1.1', 'Host: shop.localhost', 'Host: blog.localhost', close), 400],
      [head('GET / HTTP/1.1', 'Host: shop.localhost', 'Host: shop.localhost', close), 400],
      [head('GET http://blog.localhost/ HTTP/1.1', 'Host: shop.localhost', close), 400],
      [head('GET http://shop.localhost/ HTTP/1.1', 'Host: shop.localhost', close), 200],
      [head('GET / HTTP/1.1', 'Host: shop.localhost', 'Content-Length: 3', 'Transfer-Encoding: chunked', close), 400],
      [head('GET / HTTP/1.1', 'Host: shop.localhost', 'no colon', close), 400],
      [head('NONSENSE'), 400],
      [['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'], 400],
      [head('GET / HTTP/1.1', `X: ${'a'.repeat(16_400)}`, 'Host: shop.localhost', close), 431],
      [head('GET / HTTP/1.1', `X: ${'a'.repeat(15_000)}`, 'Host: shop.localhost', close), 200],
      [head('GET / HTTP/1.0', 'Host: shop.localhost'), 200],
    ] as const) {
      expect(status(await answer(folder.gateway, [...parts])), parts[0]!.slice(0, 200)).to.equal(expected)
    }
  })

  it('is waited for by an app that it has connected to, and that would rest', async () => {
    const folder = await Folder.make()
    folder.configure({ shop: { script: 'app.js', idle: '100ms' } })
    const lookout = await folder.up()
    await request(folder.url('shop'))
    const [socket, accepted] = await connection()
    const to = posix.socket(posix.AF_UNIX)
    cleanups.push(() => posix.close(to))
    posix.connect(to, posix.AF_UNIX, handoffFile(folder.env, 'shop', lookout.pid)!, 0)
    const end = performance.now() + 500
    await until('five times its idle', () => performance.now() > end)
    expect(lookout.count(/shop rests$/), lookout.stderr).to.equal(0)
    posix.send(to, Buffer.of(Came.byName), [accepted])
    posix.close(accepted)
    socket.write('GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n')
    expect(await text(socket)).to.match(/^HTTP\/1.1 200 OK.*hello/s)
    await until('at rest', () => lookout.count(/shop rests$/) === 1)
  })

  it('loses nobody at the edges of rest, its own and the apps', async () => {
    const { url } = await gateway({}, { idle: '100ms' })
    for (let turn = 0; turn < 12; turn++) {
      const clients = ['shop', 'blog'].map(name =>
        load(url, { clients: 4, keepAlive: turn % 2 === 0, host: `${name}.localhost` }),
      )
      await until('a burst', () => clients.every(({ counts }) => counts.ok > 40 || failures(counts) > 0))
      for (const client of clients) expect(failures(await client.stop()), client.errors.join('\n')).to.equal(0)
      await new Promise(resolve => setTimeout(resolve, 90 + 7 * turn)) // before, at and after the end of idle
    }
  }).timeout(60_000)
})
