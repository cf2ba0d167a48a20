/** What becomes of workers that die, hang, or are due to be replaced, while others serve. */
import fs from 'node:fs'
import net from 'node:net'
import { expect } from 'chai'
import { awake, readied, spin } from './support/awake.js'
import { request } from './support/client.js'
import { failures, load } from './support/load.js'
import { fixture, isAlive, Lookout, temporaryFolder, until } from './support/lookout.js'
import { readStats, rewritten } from './support/stats-file.js'

/** plain.js, awake, with that many workers ready. */
const pool = (workers: number, options: string[]) => awake(workers, [...options, fixture('plain.js')])

describe('workers that die under load', () => {
  for (const keepAlive of [true, false]) {
    it(`cost the requests that they had, and nothing else${keepAlive ? ', with keep-alive' : ''}`, async () => {
      const lookout = await pool(4, [])
      const clients = load(lookout.url, { clients: 8, keepAlive, path: '/slow?5' })
      for (let kills = 1; kills <= 5; kills++) {
        const before = clients.counts.ok
        await until('requests', () => clients.counts.ok > before + 50)
        const [victim] = lookout.workers
        process.kill(victim!, 'SIGKILL')
        await until('gone', () => !isAlive(victim!))
        await until('whole again', () => lookout.workers.length === 4, 30_000)
        await readied(lookout, 4 + kills)
      }
      const counts = await clients.stop()
      expect(counts.refused, clients.errors.join('\n')).to.equal(0)
      expect(counts.wrong).to.equal(0)
      expect(failures(counts), 'each kill costs at most what was in flight').to.be.at.most(5 * 8)
    }).timeout(60_000)
  }

  it('all at once: nobody is refused, and the pool is whole again', async () => {
    const lookout = await pool(4, [])
    const clients = load(lookout.url, { clients: 8, keepAlive: false, path: '/slow?5' })
    await until('requests', () => clients.counts.ok > 50)
    const before = clients.counts.ok
    for (const pid of lookout.workers) process.kill(pid, 'SIGKILL')
    await readied(lookout, 8)
    await until('requests', () => clients.counts.ok > before + 50)
    const counts = await clients.stop()
    expect(counts.refused, clients.errors.join('\n')).to.equal(0)
    expect(counts.wrong, 'nobody got a 503').to.equal(0)
    expect(failures(counts)).to.be.at.most(8)
    expect(lookout.workers.length).to.equal(4)
    expect(lookout.count(/wakes/)).to.equal(1)
  })
})

describe('the watchdog', () => {
  it('replaces a worker that hangs, while the others serve', async () => {
    const lookout = await pool(2, ['--watchdog', '2s', '--idle', '30s'])
    const since = performance.now()
    const spun = await spin(lookout)
    const clients = load(lookout.url, { clients: 4, keepAlive: false })
    await until('gone', () => !isAlive(spun))
    expect(performance.now() - since, 'ms').to.be.below(2000 + 1000)
    await lookout.line(/worker \d+ pid \d+ hangs: its event loop has not turned for 2 s/)
    await readied(lookout, 3)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
    expect(lookout.workers.length).to.equal(2)
  })

  it('kills who does not mind its signal after --grace', async () => {
    const lookout = await pool(1, ['--watchdog', '1s', '--watchdog-signal', 'cont', '--grace', '300ms'])
    const spun = await spin(lookout)
    await lookout.line(/hangs/)
    await until('gone', () => !isAlive(spun))
    expect((await request(lookout.url)).body).to.equal('hello')
  })

  it('kills nobody when the master was stopped for longer', async () => {
    const file = `${temporaryFolder()}/stats.json`
    const lookout = await pool(2, ['--watchdog', '2s', '--stats-file', file])
    const [master, workers] = [lookout.master!, lookout.workers]
    process.kill(master, 'SIGSTOP')
    const end = performance.now() + 4000
    await until('4 s', () => performance.now() > end)
    process.kill(master, 'SIGCONT')
    await rewritten(file, 2)
    expect(lookout.workers).to.deep.equal(workers)
    expect(lookout.count(/hangs/)).to.equal(0)
  })

  it('leaves who boots to the boot timeout', async () => {
    const lookout = await Lookout.start(['--watchdog', '500ms', fixture('slow-start.js')])
    expect((await request(lookout.url)).status).to.equal(200)
    expect(lookout.count(/hangs/)).to.equal(0)
  })
})

describe('workers that are due', () => {
  it('after --max-use requests, without a failure', async () => {
    const lookout = await pool(2, ['--max-use', '200'])
    const clients = load(lookout.url, { clients: 4, keepAlive: true })
    await until('replaced', () => lookout.count(/is replaced: it has served \d+ requests/) >= 3)
    expect(failures(await clients.stop()), clients.errors.join('\n')).to.equal(0)
  })

  it('by --max-rss', async () => {
    const lookout = await pool(1, ['--max-rss', '1M'])
    await lookout.line(/worker 0 pid \d+ is replaced: it uses \d+ MB/)
    await readied(lookout, 2)
  })

  it('by --max-lifetime', async () => {
    const lookout = await pool(1, ['--max-lifetime', '1s'])
    const [first] = lookout.workers
    await lookout.line(/worker 0 pid \d+ is replaced: it is 1(\.\d)? s old|is replaced: it is \d+ ms old/)
    await until('gone', () => !isAlive(first!))
  })

  it('by unhealthy(), until it is healthy() again', async () => {
    const file = `${temporaryFolder()}/stats.json`
    const lookout = await Lookout.start(['--stats-file', file, fixture('health.js')])
    const first = (await request(lookout.url, '/recovered?7')).body
    await rewritten(file, 4) // the worker says how it is once a second, and its master looks as often
    expect(lookout.count(/is replaced/)).to.equal(0)
    await request(lookout.url, '/unhealthy?7')
    await lookout.line(/worker 0 pid \d+ is replaced: it says that it is unhealthy: 7/)
    await until('another', async () => (await request(lookout.url, '/pid')).body !== first)
  })
})

describe('a hostile worker', () => {
  it('may write what it likes into its slot: nobody else is harmed', async () => {
    const file = `${temporaryFolder()}/stats.json`
    const lookout = await Lookout.start(['--stats-file', file, '--idle', '5s', fixture('hostile.js')])
    const pid = Number((await request(lookout.url)).body)
    const shown = await until('statistics', () => readStats(file).workers.find(({ requests }) => requests > 1e15))
    expect(shown.pid, 'the one that the master knows').to.equal(pid)
    expect(shown.requests).to.equal(Number.MAX_SAFE_INTEGER)
    lookout.signal('SIGUSR1')
    await lookout.line(/^master \d+: \{"name"/m)
    expect((await request(lookout.url)).status).to.equal(200)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })
})

describe('what an app sends its master by mistake', () => {
  it('is taken for what it may be: an error without a message ends nobody else', async () => {
    const folder = temporaryFolder()
    const file = `${folder}/app.js`
    fs.writeFileSync(
      file,
      `require('node:http').createServer((request, response) => {
        if (request.url === '/') return response.end('fine')
        setImmediate(() => { throw Object.assign(new Error(), { message: { toString: null } }) })
      }).listen(3000)`,
    )
    const lookout = await Lookout.start(['-w', '2', file])
    await request(lookout.url)
    await readied(lookout, 2)
    const { master } = lookout
    await request(lookout.url, '/boom').catch(() => {})
    await readied(lookout, 3)
    expect(lookout.master).to.equal(master)
    expect((await request(lookout.url)).body).to.equal('fine')
  })
})

describe('pipelined requests', () => {
  it('are answered by a worker that is to go, though the next answer is ready before its turn', async () => {
    const folder = temporaryFolder()
    const file = `${folder}/app.js`
    fs.writeFileSync(
      file,
      `require('node:http').createServer((request, response) => {
        if (request.url === '/now') return response.end('second')
        response.write('first')
        setTimeout(() => response.end('.'), 1500)
      }).listen(3000)`,
    )
    const lookout = await Lookout.start([file])
    const { hostname, port } = new URL(lookout.url.replace('localhost', '127.0.0.1'))
    const socket = net.connect(Number(port), hostname)
    let text = ''
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk
    })
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('the first has begun', () => text.includes('first'))
    lookout.signal('SIGUSR2')
    await new Promise(resolve => socket.once('close', resolve))
    expect(text).to.include('second')
    expect(lookout.stderr).not.to.include('ERR_HTTP_HEADERS_SENT')
  })
})
