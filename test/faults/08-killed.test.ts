/** Processes that are killed at once, and what is left of them. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { outcome, request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { connectionsOf, listenersOf, openSockets, ticks } from '../support/kernel.js'
import { failures, type Load, load } from '../support/load.js'
import { childrenOf, cleanups, fixture, isAlive, Lookout, temporaryFolder, until } from '../support/lookout.js'
import { number, random, Tally } from '../support/tally.js'

/** ms in which what is to be gone is gone. */
const GONE = 1000

const TURNS = 5

/** Awake, with that many workers ready. */
async function awake(workers: number, app = fixture('plain.js')): Promise<Lookout> {
  const lookout = await Lookout.start(['-w', `${workers}`, '-l', '127.0.0.1:0', app])
  await request(lookout.url)
  await ready(lookout, workers)
  return lookout
}

/** Waits until so many workers have become ready since the start. */
async function ready(lookout: Lookout, count: number): Promise<void> {
  await until(`${count} workers ready`, () => lookout.count(/worker \d+ pid \d+ ready/) >= count, 30_000)
}

/** Waits until that many more requests were answered. */
async function served(clients: Load, count: number): Promise<void> {
  const before = clients.counts.ok
  await until(`${count} requests`, () => clients.counts.ok >= before + count, 30_000)
}

describe('processes that are killed', () => {
  fault(8, 'kill -9 of a worker under load', '0 refused, failures <= what it held', async () => {
    const lookout = await awake(4)
    const clients = load(lookout.url, { clients: 32, keepAlive: true, path: '/slow?5' })
    const next = random(8)
    let held = 0
    for (let kills = 1; kills <= TURNS; kills++) {
      await served(clients, 100)
      const { workers } = lookout
      const victim = workers[Math.floor(next() * workers.length)]!
      await stop(victim) // what it holds is to be what it will have held
      held += connectionsOf(victim, lookout.port)
      process.kill(victim, 'SIGKILL')
      await ready(lookout, 4 + kills)
    }
    const counts = await clients.stop()
    expect(counts.refused, clients.errors.join('\n')).to.equal(0)
    expect(counts.wrong, clients.errors.join('\n')).to.equal(0)
    expect(failures(counts), clients.errors.join('\n')).to.be.at.most(held)
    return `${TURNS} killed, which held ${held}: 0 refused, ${failures(counts)} of ${number(failures(counts) + counts.ok)} requests cut`
  })

  fault(9, 'kill -9 of the master under load', 'workers gone in 1 s, never 2 generations', async () => {
    const lookout = await awake(2)
    const clients = load(lookout.url, { clients: 8, keepAlive: false, path: '/slow?5' })
    const times = []
    for (let turn = 1; turn <= TURNS; turn++) {
      await served(clients, 100)
      times.push(await killMaster(lookout))
      await ready(lookout, 2 * (turn + 1))
    }
    const counts = await clients.stop()
    expect([counts.refused, counts.wrong], clients.errors.join('\n')).to.deep.equal([0, 0])
    expect(failures(counts)).to.be.at.most(TURNS * 8)
    expect(lookout.count(/: wakes /)).to.equal(1 + TURNS)
    return `${TURNS} killed: workers gone in ${longest(times)}, 0 of the next refused, ${failures(counts)} cut, 1 generation at a time`
  })

  fault(10, 'kill -9 of the master, a worker in while (true)', 'gone in 1 s', async () => {
    const lookout = await awake(2)
    const times = []
    for (let turn = 1; turn <= TURNS; turn++) {
      const spun = Number((await request(lookout.url, '/spin')).body)
      const before = ticks(spun)
      await until('it spins', () => ticks(spun) > before + 5)
      times.push(await killMaster(lookout))
      expect((await request(lookout.url)).body).to.equal('hello')
      await ready(lookout, 2 * (turn + 1))
    }
    return `${TURNS} killed: workers gone in ${longest(times)}, the next connection served`
  })

  fault(12, 'the app starts sleep', 'it holds no listening socket; its group is killed; rebind works', async () => {
    const lookout = await awake(1, parent())
    const { inside, apart } = JSON.parse((await request(lookout.url)).body) as Record<string, number[]>
    cleanups.push(() => apart!.forEach(pid => void process.kill(pid, 'SIGKILL')))
    const { port } = lookout
    const listeners = [...lookout.workers, ...inside!, ...apart!].map(pid => listenersOf(pid, port))
    expect(listeners).to.deep.equal([1, 0, 0, 0, 0, 0])
    lookout.signal('SIGKILL')
    const since = performance.now()
    await until('its group is gone', () => !inside!.some(isAlive), GONE)
    const took = performance.now() - since
    expect(apart!.every(isAlive), 'those that hold the address if any does').to.equal(true)
    const successor = await Lookout.start(['-l', `127.0.0.1:${port}`, fixture('plain.js')])
    expect((await request(successor.url)).body).to.equal('hello')
    return `0 of ${inside!.length + apart!.length} hold one; gone in ${longest([took])}; bound again`
  })

  fault(13, 'kill -9 of lookout under load', 'port free after the drain, restart binds', async () => {
    const tally = new Tally()
    const [gone, bound]: [number[], number[]] = [[], []]
    let lookout = await awake(2)
    for (let turn = 1; turn <= 3; turn++) {
      const { port, url } = lookout
      const { workers } = lookout
      const pids = [lookout.pid, lookout.master!, ...workers]
      const open = () => workers.reduce((sum, pid) => sum + openSockets(pid).length, 0)
      const before = open()
      const answers = Array.from({ length: 20 }, async () => {
        tally.add(await outcome(url, '/slow?200', ({ body }) => body === 'slow'))
      })
      await until('in flight', () => open() === before + 20)
      const since = performance.now()
      lookout.signal('SIGKILL')
      const successor = Lookout.start(['-w', '2', '-l', `127.0.0.1:${port}`, fixture('plain.js')])
      const binds = successor.then(() => bound.push(performance.now() - since))
      await until('gone', () => !pids.some(isAlive), GONE)
      gone.push(performance.now() - since)
      await Promise.all([binds, ...answers])
      lookout = await successor
      expect((await request(lookout.url)).body).to.equal('hello')
      await ready(lookout, 2)
    }
    expect(tally.counts).to.deep.equal({ ok: 60 })
    return `in flight: ${tally}; gone in ${longest(gone)}, another bound in ${longest(bound)}, 3 times`
  })
})

/** SIGSTOP, and until it holds. */
async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  await until('it is stopped', () => /^\d+ \(.*\) T/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')))
}

/** Kills it, and waits until its workers are gone, before which there may be no other: in ms. */
async function killMaster(lookout: Lookout): Promise<number> {
  const { master, workers } = lookout
  const since = performance.now()
  let isAlone = true
  const gone = () => {
    const left = workers.filter(isAlive)
    if (left.length > 0 && childrenOf(lookout.pid).some(pid => pid !== master)) isAlone = false
    return left.length === 0
  }
  process.kill(master!, 'SIGKILL')
  await until('workers gone', gone, GONE)
  expect(isAlone, 'never two generations').to.equal(true)
  return performance.now() - since
}

function longest(times: number[]): string {
  return `${Math.round(Math.max(...times))} ms`
}

/** An app that starts children in several ways; those `apart` are not of its group, and outlive it. */
function parent(): string {
  const file = path.join(temporaryFolder(), 'parent.js')
  fs.writeFileSync(
    file,
    `const { exec, execFile, spawn } = require('node:child_process')
    const http = require('node:http')
    const inside = [
      spawn('sleep', ['1000']),
      spawn('sleep', ['1000'], { stdio: 'inherit' }),
      exec('exec sleep 1000'),
      execFile('sleep', ['1000']),
    ]
    const apart = [spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })]
    const pids = children => children.map(({ pid }) => pid)
    http.createServer((request, response) => {
      response.end(JSON.stringify({ inside: pids(inside), apart: pids(apart) }))
    }).listen(3000)`,
  )
  return file
}
