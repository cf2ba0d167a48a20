/** The promises that the README opens with, each by its name. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { outcome, request } from './support/client.js'
import { connectionsTo, waiting } from './support/kernel.js'
import { childrenOf, fixture, isAlive, Lookout, temporaryFolder, until } from './support/lookout.js'
import { connect } from './support/program.js'
import { quieted } from './support/stats-file.js'
import { random, Tally } from './support/tally.js'

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** CPU time of a process in clock ticks, and how often it was scheduled. */
function effort(pid: number): string {
  const [, , , , , , , , , , , , , utime, stime] = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(' ')
  const switches = /voluntary_ctxt_switches:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  return `${utime} ${stime} ${switches}`
}

describe('promise 1: no connection is lost', () => {
  for (const [name, address] of [
    ['TCP', () => '127.0.0.1:0'],
    ['a unix socket', () => path.join(temporaryFolder(), 'edge.sock')],
  ] as const) {
    it(`over ${name}: 10,000 new connections hitting the idle edge, 50 cycles, 2 workers`, async function () {
      this.timeout(120_000)
      const IDLE = 50
      const BURST = 200
      const lookout = await Lookout.start(['--idle', `${IDLE}ms`, '-w', '2', '-l', address(), fixture('plain.js')])
      const tally = new Tally()
      const next = random(1)
      const wakes = () => lookout.count(/wakes/)
      while (tally.total < 10_000 || wakes() < 50) {
        await Promise.all(
          Array.from({ length: BURST }, async () => {
            await pause(next() * 30)
            tally.add(await outcome(lookout.url, '/', ({ status, body }) => status === 200 && body === 'hello'))
          }),
        )
        await pause(IDLE - 5 + next() * 30) // so that the edge is somewhere in the burst
      }
      expect(tally.counts).to.deep.equal({ ok: tally.total })
      expect(lookout.stderr).to.not.match(/exited with code|was killed|cannot/)
    })
  }

  it('by 1,000 first connections at once: one master, 1,000 answers', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    const tally = new Tally()
    await Promise.all(
      Array.from({ length: 1000 }, async () => {
        tally.add(await outcome(lookout.url, '/', ({ body }) => body === 'hello'))
      }),
    )
    expect(tally.counts).to.deep.equal({ ok: 1000 })
    expect(lookout.count(/wakes/)).to.equal(1)
  })

  it('by the death of a worker, but for what it had in flight', async () => {
    const lookout = await Lookout.start(['-w', '2', fixture('plain.js')])
    await request(lookout.url)
    await until('two workers', () => lookout.count(/worker \d pid \d+ ready/) === 2)
    const tally = new Tally()
    const clients = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 50; i++) tally.add(await outcome(lookout.url, '/', ({ body }) => body === 'hello'))
    })
    await until('under load', () => tally.total > 200)
    process.kill(lookout.workers[0]!, 'SIGKILL')
    await Promise.all(clients)
    expect(tally.counts.refused ?? 0).to.equal(0)
    expect(tally.total - tally.counts.ok!).to.be.at.most(20)
    await until('a successor', () => lookout.workers.length === 2)
  })

  it('by stopping: what was accepted or waits is answered', async () => {
    const lookout = await Lookout.start(['-w', '2', fixture('plain.js')])
    await request(lookout.url)
    const tally = new Tally()
    const requests = Array.from({ length: 40 }, async () => {
      tally.add(await outcome(lookout.url, '/slow?300', ({ body }) => body === 'slow'))
    })
    await until('all are in flight', () => connectionsTo(lookout.port) === 40)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    await Promise.all(requests)
    expect(tally.counts).to.deep.equal({ ok: 40 })
  })

  it('by stopping: a request that has come over a kept connection is answered, though it was not read yet', async () => {
    const lookout = await Lookout.start([fixture('stopping.js')])
    const { socket, got, closed } = connect(lookout.port)
    const ask = () => socket.write('GET / HTTP/1.1\r\nHost: app\r\n\r\n')
    ask()
    await until('the first answer', () => got().endsWith('hello'))
    const busy = request(lookout.url, '/busy?700')
    await until('the worker is busy', () => lookout.stdout.includes('busy begins'))
    lookout.signal('SIGTERM')
    await lookout.line(/ends: stopped/)
    ask()
    expect((await busy).body).to.equal('busy')
    expect((await closed).match(/hello/g)).to.have.length(2)
    expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
  })
})

describe('promise 2: nothing of the app stays in memory at rest', () => {
  it('one process, at most 160 kB of its own, no CPU time', async function () {
    this.timeout(30_000)
    const lookout = await Lookout.start(['--idle', '100ms', fixture('plain.js')])
    await request(lookout.url)
    await lookout.rests()
    expect(childrenOf(lookout.pid)).to.deep.equal([])
    expect(fs.readlinkSync(`/proc/${lookout.pid}/exe`)).to.match(/lookout$/)
    const anonymous = /^Anonymous:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${lookout.pid}/smaps_rollup`, 'latin1'))
    expect(Number(anonymous![1])).to.be.at.most(160)
    // The master is dead before lookout has buried it, said so and waits again.
    await lookout.line(/plain\.js rests$/m)
    let before = ''
    let alike = 0
    await until('it waits', () => {
      const last = before
      before = effort(lookout.pid)
      alike = before === last ? alike + 1 : 0
      return alike === 10
    })
    const end = Date.now() + 10_000
    await until('ten seconds', () => Date.now() > end, 11_000)
    expect(effort(lookout.pid)).to.equal(before)
  })
})

describe('promise 3: nothing keeps running unseen', () => {
  async function awake(...options: string[]): Promise<{ lookout: Lookout; pids: number[] }> {
    const lookout = await Lookout.start(['-w', '2', ...options, fixture('plain.js')])
    await request(lookout.url)
    await until('two workers', () => lookout.count(/worker \d pid \d+ ready/) === 2)
    return { lookout, pids: [lookout.master!, ...lookout.workers] }
  }

  const gone = (pids: number[]) => until('all gone within a second', () => !pids.some(isAlive), 1000)

  for (const spin of [false, true]) {
    const how = spin ? ', a worker in a busy loop' : ''
    it(`kill -9 of lookout${how}: all of it is gone in a second, and another binds at once`, async () => {
      const { lookout, pids } = await awake()
      if (spin) await request(lookout.url, '/spin')
      lookout.signal('SIGKILL')
      const successor = Lookout.start(['-l', `localhost:${lookout.port}`, fixture('plain.js')])
      await gone(pids)
      expect((await request((await successor).url)).body).to.equal('hello')
    })

    it(`kill -9 of the master${how}: its workers are gone in a second, the next connection wakes another`, async () => {
      const { lookout, pids } = await awake()
      if (spin) await request(lookout.url, '/spin')
      process.kill(pids[0]!, 'SIGKILL')
      await gone(pids)
      expect((await request(lookout.url)).body).to.equal('hello')
      expect(lookout.count(/wakes/)).to.equal(2)
    })
  }

  it('kill -9 of the master: who waits to be accepted is served by the next', async () => {
    for (let turn = 0; turn < 8; turn++) {
      const file = path.join(temporaryFolder(), 'stats')
      const lookout = await Lookout.start(['--stats-file', file, fixture('plain.js')])
      await request(lookout.url)
      lookout.signal('SIGTSTP')
      await quieted(file, 1)
      const waiters = Array.from({ length: 20 }, () => request(lookout.url))
      await until('they wait', () => waiting(lookout.port) === 20)
      process.kill(lookout.master!, 'SIGKILL')
      lookout.signal('SIGCONT')
      for (const { body } of await Promise.all(waiters)) expect(body).to.equal('hello')
      await lookout.stop()
    }
  }).timeout(90_000)

  it('kill -9 of the only worker, in a busy loop: another takes its place', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    await request(lookout.url, '/spin')
    process.kill(lookout.workers[0]!, 'SIGKILL')
    expect((await request(lookout.url)).body).to.equal('hello')
    expect(lookout.count(/wakes/)).to.equal(1)
  })

  it('what the app started goes with it when lookout is killed, too', async () => {
    const lookout = await Lookout.start([fixture('grandchild.js')])
    const grandchild = Number((await request(lookout.url)).body)
    await until('the master is up', () => lookout.count(/ready in/) === 1)
    lookout.signal('SIGKILL')
    await gone([grandchild])
  })

  it('what the app started goes with it', async () => {
    const lookout = await Lookout.start(['--idle', '200ms', fixture('grandchild.js')])
    const grandchild = Number((await request(lookout.url)).body)
    expect(isAlive(grandchild)).to.equal(true)
    await lookout.rests()
    await gone([grandchild])
  })
})

describe('promise 5: you can ask why', () => {
  it('it woke, it rests, it ended: each is said, with who says it', async () => {
    const lookout = await Lookout.start(['--idle', '200ms', '--name', 'shop', fixture('plain.js')])
    await request(lookout.url)
    await lookout.rests()
    await lookout.line(/^lookout \d+: shop rests$/m)
    await request(lookout.url)
    await lookout.stop()
    const warned = /^lookout \d+: runs the app as root .*\n/m // where root runs the tests
    const lines = lookout.stderr.replace(warned, '').trimEnd().split('\n')
    expect(lines.map(line => line.replace(/\d+/g, 'N'))).to.deep.equal([
      'lookout N: shop rests at http://localhost:N',
      'lookout N: wakes shop: master N',
      'master N: worker N pid N ready in N ms',
      'master N: ends: idle N ms',
      'lookout N: shop rests',
      'lookout N: wakes shop: master N',
      'master N: worker N pid N ready in N ms',
      'master N: ends: stopped',
    ])
  })
})
