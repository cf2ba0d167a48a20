/** Many who ask, and many who only hold a connection. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { outcome, request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { connectionsTo } from '../support/kernel.js'
import { cleanups, Lookout, MARK, ROOT, temporaryFolder } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'
import { raw } from '../support/raw.js'

const APP = `const large = Buffer.alloc(2 ** 19)
require('node:http').createServer((request, response) => {
  if (request.url === '/body') return request.on('end', () => response.end('got it')).resume()
  response.end(request.url === '/large' ? large : 'hello')
}).listen(3000)
`

/** An awake app, and the runtime directory in which its lookout is known. */
async function awake(...options: string[]): Promise<{ lookout: Lookout; env: NodeJS.ProcessEnv }> {
  const folder = temporaryFolder()
  fs.writeFileSync(path.join(folder, 'app.js'), APP)
  const env = { XDG_RUNTIME_DIR: folder }
  const lookout = await Lookout.start([...options, path.join(folder, 'app.js')], { env })
  await request(lookout.url)
  await lookout.line(/worker 0 pid \d+ ready/)
  return { lookout, env }
}

/** `count` readings of what `lookout status` reads, in another process, and as many SIGUSR1; begun at once. */
async function flood({ lookout, env }: { lookout: Lookout; env: NodeJS.ProcessEnv }, count: number): Promise<void> {
  const [name, value] = MARK.split('=') as [string, string]
  const script = `const { survey } = require('./survey.js')
    for (let i = 0; i < ${count}; i++) {
      if (survey(process.env)[0].state !== 'awake') process.exit(3)
      process.kill(${lookout.pid}, 'SIGUSR1')
    }`
  const child = spawn(process.execPath, ['--eval', script], {
    cwd: path.join(ROOT, 'dist/lib'),
    env: { ...process.env, ...env, [name]: value },
    stdio: 'inherit',
  })
  expect(await ended(child)).to.equal(0)
}

function ended(child: ChildProcess): Promise<number | null> {
  cleanups.push(() => void child.kill('SIGKILL'))
  return new Promise(resolve => child.once('close', resolve))
}

/** ms that each request of one client took which asked until `over`, 200 times at least. */
async function latencies(url: string, over: Promise<unknown>): Promise<number[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const all: number[] = []
  let going = true
  const stop = () => {
    going = false
  }
  over.then(stop, stop)
  while (going || all.length < 200) {
    const start = performance.now()
    expect((await request(url, '/', { agent })).body).to.equal('hello')
    all.push(performance.now() - start)
  }
  agent.destroy()
  await over
  return all
}

function p99(values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length * 0.99)]!
}

/** Connections that have had an answer each, and stay. */
async function idlers(lookout: Lookout, count: number): Promise<net.Socket[]> {
  const one = () =>
    new Promise<net.Socket>((resolve, reject) => {
      const socket = net.connect(lookout.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
      socket.once('error', reject)
      socket.once('data', () => resolve(socket))
      cleanups.push(() => void socket.destroy())
    })
  const all: net.Socket[] = []
  while (all.length < count) all.push(...(await Promise.all(Array.from({ length: 100 }, one))))
  return all
}

/** What slowhttptest does; and what is cut off by a limit: as late as what it sends itself. */
const ATTACKS = [
  { kind: '-H', path: '/', options: ['-i', '1', '-t', 'GET'], late: 'GET / HTTP/1.1\r\nHost: a\r\nX' },
  {
    kind: '-B',
    path: '/body',
    options: ['-i', '1', '-t', 'POST', '-s', '8192'],
    late: 'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel',
  },
  { kind: '-X', path: '/large', options: ['-w', '10', '-y', '20', '-n', '1', '-z', '32', '-k', '1'] },
]

describe('floods', () => {
  /*
   * Reading and writing statistics takes time of a processor, whoever it is about: so it is compared with the same flood about a
   * neighbour, in turn. What remains is what it costs the one that is asked: were its worker to answer, or its master to hold it up,
   * that would be the length of a turn of the flood's, many times a request's. Twice the p99 is what two runs of the same may
   * differ by on a machine of two processors; 2 ms is a slice of its scheduler's.
   */
  fault(
    35,
    'control flood, and 1,000 idle connections',
    'p99 at most twice that under a flood of a neighbour, + 2 ms',
    async () => {
      const LONG = ['--idle', '5m', '--keep-alive-timeout', '5m'] // however busy the machine is
      const [asked, neighbour] = [await awake(...LONG), await awake(...LONG)]
      const connections = await idlers(asked.lookout, 1000)
      const seen = { neighbour: [] as number[], asked: [] as number[] }
      for (let turn = 0; turn < 4; turn++) {
        seen.neighbour.push(...(await latencies(asked.lookout.url, flood(neighbour, 250))))
        seen.asked.push(...(await latencies(asked.lookout.url, flood(asked, 250))))
      }
      const [with_, without] = [p99(seen.asked), p99(seen.neighbour)]
      const told = asked.lookout.count(/^master \d+: \{"name"/)
      expect(told, 'some of the signals may have become one').to.be.within(1, 1000)
      expect(with_).to.be.below(2 * without + 2)
      expect(connections.filter(socket => !socket.destroyed && socket.readyState === 'open')).to.have.length(1000)
      return `p99 ${with_.toFixed(1)} ms of ${seen.asked.length} requests with 1,000 readings and 1,000 SIGUSR1, ${without.toFixed(1)} ms with as many for a neighbour; 1,000 of 1,000 connections open`
    },
  )

  fault(
    36,
    'slow heads, slow bodies, slow readers: slowhttptest -H, -B, -X with 1,000 connections',
    'a probe is always answered, 408 by limit; then idle exit',
    async function () {
      const { error } = spawnSync('slowhttptest', ['-h'])
      skipWithout(this, error && 'slowhttptest is needed')
      const figures: string[] = []
      for (const { kind, path, options, late } of ATTACKS) {
        const { lookout } = await awake('--idle', '500ms', '--header-timeout', '2s', '--request-timeout', '3s')
        const where = `http://127.0.0.1:${lookout.port}${path}`
        const words = [kind, ...options, '-c', '1000', '-r', '1000', '-l', '4', '-p', '2', '-u', where]
        const attack = spawn('slowhttptest', words, { stdio: 'ignore' })
        let [isOver, most] = [false, 0]
        const look = setInterval(() => {
          most = Math.max(most, connectionsTo(lookout.port))
        }, 200)
        cleanups.push(() => clearInterval(look))
        const ours = late === undefined ? undefined : raw(lookout.port, [late])
        const over = Promise.all([ours, ended(attack)]).finally(() => {
          isOver = true
        })
        let [answered, slowest] = [0, 0]
        while (!isOver) {
          const start = performance.now()
          expect(await outcome(lookout.url, '/', ({ body }) => body === 'hello'), kind).to.equal('ok')
          slowest = Math.max(slowest, performance.now() - start)
          answered++
        }
        const [cut] = await over
        clearInterval(look)
        expect(slowest, `${kind}, ms`).to.be.below(5000)
        expect(most, `${kind}, connected`).to.be.above(900)
        if (cut) expect(cut.text).to.match(/^HTTP\/1\.1 408 /)
        await lookout.rests()
        figures.push(`${kind} ${most} connected, ${answered} of ${answered} probes, ${Math.round(slowest)} ms at most`)
      }
      return `${figures.join('; ')}; then at rest`
    },
  )
})
