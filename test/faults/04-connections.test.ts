/** What connects to an app at rest. */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { Outcome } from '../support/client.js'
import { outcome, request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { connectionsTo, waiting } from '../support/kernel.js'
import { fixture, isAlive, Lookout, until } from '../support/lookout.js'
import { noNetwork, skipWithout } from '../support/missing.js'
import { withOwnNetwork } from '../support/namespace.js'
import { connect } from '../support/program.js'
import { number, Tally } from '../support/tally.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n'

/** How many masters there have been. */
const wakes = (lookout: Lookout) => lookout.count(/: wakes /)

describe('connections to an app at rest', () => {
  fault(4, '1,000 connects at once', '1 master, 1,000 x 200', async () => {
    const lookout = await Lookout.start(['-w', '2', fixture('plain.js')])
    const tally = new Tally()
    const client = async () => tally.add(await outcome(lookout.url, '/', ({ status }) => status === 200))
    await Promise.all(Array.from({ length: 1000 }, client))
    expect(tally.counts).to.deep.equal({ ok: 1000 })
    expect(wakes(lookout)).to.equal(1)
    return `1 master, ${number(tally.counts.ok!)} x 200`
  })

  fault(5, '48 connects where 8 may wait', 'no RST, lookout is alive', async function () {
    skipWithout(this, noNetwork())
    const lookout = await Lookout.start(['-l', '127.0.0.1:3000', fixture('plain.js')], { under: NARROW })
    const before = overflows(lookout.pid)
    const tally = await askInside(lookout, 48)
    const dropped = overflows(lookout.pid) - before
    expect(dropped, 'packets for which there was no room').to.be.above(0)
    expect(tally.counts).to.deep.equal({ ok: 48 })
    expect(isAlive(lookout.pid)).to.equal(true)
    expect(wakes(lookout)).to.equal(1)
    return `${tally}, 0 RST; the queue had no room ${number(dropped)} times`
  })

  fault(6, '200 connects without data', '0 wakes in 3 s', async () => {
    const lookout = await Lookout.start([fixture('plain.js')])
    const sockets = Array.from({ length: 200 }, () => connect(lookout.port))
    await until('all are connected', () => sockets.every(({ socket }) => socket.readyState === 'open'))
    const end = performance.now() + 3000
    await until('3 s', () => lookout.master !== undefined || performance.now() > end)
    expect(wakes(lookout)).to.equal(0)
    sockets[0]!.socket.write(REQUEST)
    await until('an answer', () => sockets[0]!.got().startsWith('HTTP/1.1 200'))
    expect(wakes(lookout)).to.equal(1)
    return '0 wakes in 3 s; 1 with the first request among them'
  })

  fault(7, '200 connects, then RST', '<= 1 wake, at rest again', async () => {
    const seen: number[] = []
    for (const [data, options] of [
      ['', []],
      ['', ['--no-defer-accept']],
      [REQUEST, []],
    ] as const) {
      const lookout = await Lookout.start(['--idle', '200ms', '-l', '127.0.0.1:0', ...options, fixture('plain.js')])
      await Promise.all(Array.from({ length: 200 }, () => connectAndReset(lookout.port, data)))
      const rests = () => waiting(lookout.port) === 0 && connectionsTo(lookout.port) === 0 && !lookout.master
      await until('at rest', rests)
      seen.push(wakes(lookout))
      expect(wakes(lookout)).to.be.at.most(1)
      expect((await request(lookout.url)).body).to.equal('hello')
      await lookout.rests()
      expect(lookout.stderr).not.to.match(/exited with|was killed|fails/)
    }
    return `${seen[0]} wakes; ${seen[1]} with --no-defer-accept; ${seen[2]} where a request came before; at rest each time`
  })
})

/** A connection that ends with RST, as after SO_LINGER with 0 s, once it has sent what it has. */
function connectAndReset(port: number, data: string): Promise<void> {
  const { socket, closed } = connect(port)
  socket.on('connect', () => (data ? socket.write(data, () => socket.resetAndDestroy()) : socket.resetAndDestroy()))
  return closed.then(() => {})
}

/** In a network namespace, in which no queue of connections is longer than 8. */
const NARROW = withOwnNetwork('echo 8 > /proc/sys/net/core/somaxconn')

/** That many requests at once, by a process in the network namespace of lookout. */
async function askInside(lookout: Lookout, count: number): Promise<Tally> {
  const script = `
    const { outcome } = require(${JSON.stringify(path.join(__dirname, '../support/client.js'))})
    const client = () => outcome('http://127.0.0.1:${lookout.port}', '/', ({ status }) => status === 200)
    Promise.all(Array.from({ length: ${count} }, client)).then(all => console.log(JSON.stringify(all)))`
  const enter = ['--net', '--target', `${lookout.pid}`, process.execPath, '-e', script]
  const { stdout } = await promisify(execFile)('nsenter', enter)
  const tally = new Tally()
  for (const result of JSON.parse(stdout) as Outcome[]) tally.add(result)
  return tally
}

/** How often a queue of connections was full in the network namespace of a process, of whichever kind. */
function overflows(pid: number): number {
  const [names, values] = fs
    .readFileSync(`/proc/${pid}/net/netstat`, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('TcpExt:'))
    .map(line => line.split(' '))
  const counted = ['ListenOverflows', 'TCPReqQFullDrop', 'TCPReqQFullDoCookies']
  return counted.reduce((sum, name) => sum + Number(values![names!.indexOf(name)]), 0)
}
