/** Every kind of app runs unmodified, from rest, on the Node that runs this test. */
import fs from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { fixture, Lookout, temporaryFolder, until } from './support/lookout.js'

const HELLO = fs.readdirSync(fixture('kinds')).filter(name => !/^(promise|closes|two|net|http2|https)\./.test(name))

function start(kind: string, ...options: string[]): Promise<Lookout> {
  return Lookout.start([...options, fixture(`kinds/${kind}`)])
}

describe('app kinds', () => {
  for (const kind of HELLO) {
    it(`${kind} answers the connection that woke it`, async () => {
      const lookout = await start(kind)
      const { status, body } = await request(lookout.url)
      expect([status, body]).to.deep.equal([200, 'hello'])
    })
  }

  it('finds all of them', () => {
    expect(HELLO).to.include.members([
      'http.js',
      'http.mjs',
      'express.js',
      'fastify.js',
      'koa.js',
      'hono.mjs',
      'fetch.mjs',
    ])
  })

  it('tells server.address() of lookout', async () => {
    const lookout = await start('promise.mjs')
    expect(JSON.parse((await request(lookout.url)).body)).to.deep.equal({
      address: '127.0.0.1',
      family: 'IPv4',
      port: lookout.port,
    })
  })

  it('lets a server close and listen again, and count its connections', async () => {
    const lookout = await start('closes.js')
    expect(JSON.parse((await request(lookout.url)).body)).to.deep.equal({ error: null, count: 1, listening: true })
  })

  it('serves https', async () => {
    const lookout = await start('https.js')
    const body = await new Promise((resolve, reject) => {
      https
        .get({ port: lookout.port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }, response => {
          response.setEncoding('utf8').on('data', resolve)
        })
        .on('error', reject)
    })
    expect(body).to.equal('hello')
  })

  it('serves http2', async () => {
    const lookout = await start('http2.js')
    const session = http2.connect(`http://127.0.0.1:${lookout.port}`)
    const stream = session.request({ ':path': '/' })
    const body = await new Promise((resolve, reject) =>
      stream.setEncoding('utf8').on('data', resolve).on('error', reject),
    )
    await new Promise<void>(resolve => session.close(resolve))
    expect(body).to.equal('hello')
  })

  it('serves raw connections, half open ones too', async () => {
    const lookout = await start('net.js')
    const body = await new Promise((resolve, reject) => {
      const socket = net.connect(lookout.port, '127.0.0.1', () => socket.end('echo'))
      socket.setEncoding('utf8').on('data', resolve).on('error', reject)
    })
    expect(body).to.equal('echo')
  })

  it('gives the second listen() the second address, one of them a unix socket', async () => {
    const socket = path.join(temporaryFolder(), 'second.sock')
    const lookout = await start('two.js', '-l', '127.0.0.1:0', '-l', socket)
    const bodies = await Promise.all(lookout.addresses.map(async address => (await request(address)).body))
    expect(bodies).to.deep.equal(['first', 'second'])
  })

  it('tells server.address() of a unix socket, and leaves the file alone', async () => {
    const socket = path.join(temporaryFolder(), 'app.sock')
    const lookout = await start('promise.mjs', '--idle', '200ms', '-l', socket)
    expect(JSON.parse((await request(lookout.url)).body)).to.equal(socket)
    await lookout.rests()
    expect(JSON.parse((await request(lookout.url)).body)).to.equal(socket)
    await lookout.stop()
    expect(fs.existsSync(socket), 'the socket after the end').to.equal(false)
    expect(fs.existsSync(`${socket}.lock`), 'its lock').to.equal(false)
  })

  it('answers on 127.0.0.1 and ::1 for localhost', async () => {
    const lookout = await start('http.js')
    for (const host of ['127.0.0.1', '[::1]']) {
      expect((await request(`http://${host}:${lookout.port}`)).body).to.equal('hello')
    }
  })
})

describe('what an app sees', () => {
  it('is the main module, with its arguments, and no trace of the preload', async () => {
    const lookout = await Lookout.start([fixture('plain.js'), '--', '--port', '1', '-q'])
    const { argv, execArgv, main } = JSON.parse((await request(lookout.url, '/argv')).body)
    expect(argv).to.deep.equal([process.execPath, fixture('plain.js'), '--port', '1', '-q'])
    expect(execArgv).to.deep.equal([])
    expect(main).to.equal(true)
  })

  it('has its own environment and nothing of ours, in every worker', async () => {
    const env = {
      LISTEN_FDS: '7',
      LISTEN_PID: '1',
      LISTEN_FDNAMES: 'x',
      LOOKOUT_IDLE: '20s',
      MINE: 'kept',
      NODE_OPTIONS: '--no-warnings',
    }
    const lookout = await Lookout.start(['-w', '2', fixture('plain.js')], { env })
    await request(lookout.url)
    await until('two workers', () => lookout.workers.length === 2)
    const seen = new Set<string>()
    await until('an answer of each', async () => {
      const variables = JSON.parse((await request(lookout.url, '/env')).body)
      expect(Object.keys(variables).filter(name => /^(LISTEN_|LOOKOUT_(?!TESTS))/.test(name))).to.deep.equal([])
      expect(variables).to.include({ MINE: 'kept', NODE_OPTIONS: '--no-warnings' })
      seen.add((await request(lookout.url, '/pid')).body)
      return seen.size === 2
    })
  })

  it('starts children that inherit neither sockets nor variables nor the preload', async () => {
    const lookout = await Lookout.start([fixture('children.js')])
    const { fds, env, forked, threads } = JSON.parse((await request(lookout.url)).body)
    expect(fds.filter((link: string) => link.startsWith('socket:') || link.includes('memfd'))).to.deep.equal([])
    expect(env).to.not.match(/LISTEN_|LOOKOUT_(?!TESTS)/)
    expect(forked).to.deep.equal({ execArgv: [], listens: 'by itself' })
    expect(threads).to.equal('by itself')
  })

  it('reads end of file from stdin, and writes straight to stdout and stderr', async () => {
    const lookout = await Lookout.start([fixture('stdio.js')])
    expect((await request(lookout.url)).body).to.equal('stdin ended')
    await until('to stdout', () => lookout.stdout === 'to stdout\n')
    await lookout.line(/^to stderr$/m)
  })
})
