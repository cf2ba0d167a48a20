/** Idle is one fact about the whole app: what keeps it awake, and what does not. */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { expect } from 'chai'
import { io } from 'socket.io-client'
import WebSocket from 'ws'
import { request, target } from './support/client.js'
import { cleanups, fixture, Lookout, until } from './support/lookout.js'

const IDLE = 300

function start(app: string, ...options: string[]): Promise<Lookout> {
  return Lookout.start(['--idle', `${IDLE}ms`, ...options, fixture(app)])
}

/** Waits for `times` the idle time to pass and says whether one master was awake throughout. */
async function staysAwake(lookout: Lookout, times = 4): Promise<boolean> {
  const { master } = lookout
  const end = Date.now() + times * IDLE
  return until('the time passed, or it rests', () => {
    if (lookout.master !== master) return 'rests'
    return Date.now() > end && 'awake'
  }).then(state => state === 'awake')
}

function connect(lookout: Lookout): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(lookout.port, '127.0.0.1', () => resolve(socket)).on('error', reject)
    cleanups.push(() => void socket.destroy())
  })
}

describe('idle', () => {
  it('rests when nothing happens, and is woken again, with a new master each time', async () => {
    const lookout = await start('plain.js')
    const pids = new Set<string>()
    for (let cycle = 0; cycle < 3; cycle++) {
      pids.add((await request(lookout.url, '/pid')).body)
      expect(lookout.master).to.be.a('number')
      await lookout.rests()
    }
    expect(pids.size).to.equal(3)
  })

  it('does not rest during a request five times longer than --idle', async () => {
    const lookout = await start('plain.js')
    const [{ body }, awake] = await Promise.all([
      request(lookout.url, `/slow?${5 * IDLE}`),
      until('awake', () => lookout.workers.length === 1).then(() => staysAwake(lookout)),
    ])
    expect([body, awake]).to.deep.equal(['slow', true])
    await lookout.rests()
  })

  it('stays awake for an open WebSocket, and rests once it is closed', async () => {
    const lookout = await start('busy.js')
    const socket = new WebSocket(`ws://127.0.0.1:${lookout.port}`)
    await new Promise(resolve => socket.once('open', resolve))
    expect(await staysAwake(lookout)).to.equal(true)
    socket.send('still there?')
    await new Promise(resolve => socket.once('message', resolve))
    socket.close()
    await lookout.rests()
  })

  it('stays awake for socket.io', async () => {
    const lookout = await start('socketio.js')
    const socket = io(lookout.url, { reconnection: false })
    cleanups.push(() => void socket.disconnect())
    await new Promise((resolve, reject) => socket.once('connect', () => resolve(0)).once('connect_error', reject))
    expect(await staysAwake(lookout)).to.equal(true)
    expect(await socket.emitWithAck('echo', 'hi')).to.equal('hi')
    socket.disconnect()
    await lookout.rests()
  })

  it('stays awake for a streaming response, and rests when the client leaves it', async () => {
    const lookout = await start('busy.js')
    const stream = http.get({ agent: false, ...target(lookout.url, '/stream') }).on('error', () => {})
    await new Promise(resolve => stream.once('response', response => response.once('data', resolve)))
    expect(await staysAwake(lookout)).to.equal(true)
    stream.destroy()
    await lookout.rests()
  })

  it('stays awake for an upload that goes on', async () => {
    const lookout = await start('busy.js')
    const upload = http.request({ agent: false, method: 'POST', ...target(lookout.url, '/upload') })
    const answered = new Promise(resolve => upload.once('response', resolve))
    upload.write('begun')
    await until('awake', () => lookout.workers.length === 1)
    expect(await staysAwake(lookout)).to.equal(true)
    upload.end('finished')
    await answered
    await lookout.rests()
  })

  it('stays awake for a raw connection, and rests once it is closed', async () => {
    const lookout = await start('kinds/net.js', '--no-defer-accept')
    const socket = await connect(lookout)
    await until('awake', () => lookout.workers.length === 1)
    expect(await staysAwake(lookout)).to.equal(true)
    socket.end()
    await lookout.rests()
  })

  it('stays awake while held', async () => {
    const lookout = await start('busy.js')
    await request(lookout.url, '/hold')
    expect(await staysAwake(lookout)).to.equal(true)
    process.kill(lookout.workers[0]!, 'SIGUSR2')
    await lookout.rests()
  })

  it('does not stay awake for an idle keep-alive connection, which ends politely', async () => {
    const lookout = await start('plain.js')
    const agent = new http.Agent({ keepAlive: true })
    cleanups.push(() => agent.destroy())
    await request(lookout.url, '/', { agent })
    const [socket] = Object.values(agent.freeSockets).flat()
    const errors: Error[] = []
    socket!.on('error', error => errors.push(error))
    await lookout.rests()
    await until('the client saw the end', () => socket!.destroyed)
    expect(errors).to.deep.equal([])
  })

  it('stays awake for an open http2 stream, not for a session without one', async () => {
    const lookout = await start('http2-stream.js')
    const session = http2.connect(`http://127.0.0.1:${lookout.port}`)
    session.on('error', () => {})
    cleanups.push(() => session.destroy())
    const closed = new Promise(resolve => session.once('close', resolve))
    const stream = session.request({ ':path': '/' })
    await new Promise(resolve => stream.once('data', resolve))
    expect(await staysAwake(lookout)).to.equal(true)
    stream.close()
    await lookout.rests()
    await closed
  })

  it('does not stay awake for an idle keep-alive connection over TLS', async () => {
    const lookout = await start('kinds/https.js')
    const agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false })
    cleanups.push(() => agent.destroy())
    const answer = await new Promise(resolve =>
      https.get({ agent, ...target(lookout.url) }, response => response.setEncoding('utf8').on('data', resolve)),
    )
    expect(answer).to.equal('hello')
    await lookout.rests()
  })

  it('stays awake for a request over TLS, and drains it', async () => {
    const lookout = await start('https-slow.js')
    const answer = new Promise(resolve =>
      https
        .get({ agent: false, rejectUnauthorized: false, ...target(lookout.url) }, response =>
          response.setEncoding('utf8').on('data', resolve),
        )
        .on('error', resolve),
    )
    await until('awake', () => lookout.workers.length === 1)
    expect(await staysAwake(lookout, 3)).to.equal(true)
    lookout.signal('SIGTERM')
    expect(await answer).to.equal('slow')
  })

  it('does not stay awake for what never came: it is armed from the start', async () => {
    const lookout = await start('plain.js', '--no-defer-accept')
    const socket = await connect(lookout)
    await lookout.line(/wakes/)
    socket.destroy()
    await lookout.rests()
  })

  it('is not woken by connections without data', async () => {
    const lookout = await start('plain.js')
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connect(lookout)))
    expect(await staysAwake(lookout)).to.equal(true) // that is, the same master throughout: none
    expect(lookout.count(/wakes/)).to.equal(0)
    sockets[0]!.write('GET /pid HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n')
    const answer = await new Promise<string>(resolve => sockets[0]!.setEncoding('utf8').once('data', resolve))
    expect(answer).to.match(/^HTTP\/1.1 200 OK/)
  })

  it('never rests with --idle 0', async () => {
    const lookout = await start('plain.js', '--idle', '0')
    await request(lookout.url)
    expect(await staysAwake(lookout)).to.equal(true)
  })

  it('is not idle while the app is still starting', async () => {
    const lookout = await start('slow-start.js')
    expect((await request(lookout.url)).body).to.equal('started')
    expect(lookout.count(/wakes/)).to.equal(1)
  })
})
