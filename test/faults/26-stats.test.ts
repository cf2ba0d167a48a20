/** Shared memory in the hands of others: what an app does to the statistics is nobody else's harm. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { Stats } from '../../lib/stats.js'
import { app } from '../support/app.js'
import { awake } from '../support/awake.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { descriptorsOf } from '../support/kernel.js'
import { cleanups, fixture, isAlive, Lookout, temporaryFolder, until } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'
import { readStats } from '../support/stats-file.js'
import { cannotTrace, trace } from '../support/strace.js'
import { readWhileWritten } from '../support/torn.js'

const MEMORY = `const fs = require('node:fs')
const { attempt, slots, write } = require(${JSON.stringify(fixture('shared-memory.js'))})
`

/** At /cut, what becomes of each attempt to change their length. */
const CUTS = `${MEMORY}
require('node:http').createServer((request, response) => {
  if (request.url !== '/cut') return response.end('hello')
  const tries = slots().flatMap(({ file }) => [0, 1, 4096, 2 ** 20].map(length => attempt(() => fs.truncateSync(file, length))))
  response.end(JSON.stringify(tries))
}).listen(3000)
`

/**
 * Writes random bytes into all slots that it can find, with pids that are not to be signalled; it has to be killed. At /written,
 * what became of that, by what the memory is mapped for.
 */
const SCRIBBLES = `${MEMORY}
const words = new Float64Array(16)
const bytes = Buffer.from(words.buffer)
const pids = [1, -1, Number(process.env.STRANGER), -Number(process.env.STRANGER)]
const written = {}
let turn = 0
setInterval(() => {
  require('node:crypto').randomFillSync(bytes)
  words[8] = pids[turn++ % pids.length]
  for (const slot of slots()) {
    const key = slot.access + ' ' + write(slot, bytes)
    written[key] = (written[key] ?? 0) + 1
  }
}, 1)
process.on('SIGTERM', () => {})
require('node:http').createServer((request, response) => {
  response.end(request.url === '/written' ? JSON.stringify(written) : 'hello')
}).listen(3000)
`

/** The calls that send signals, and the pids that they name: a number, or a pidfd as strace decodes it. */
const SENDS = 'kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo,rt_tgsigqueueinfo'
const SENT = new RegExp(`\\b(${SENDS.replaceAll(',', '|')})\\(`)
const TARGET = /\b(?:tg|t)?kill\((-?\d+)|\bpidfd_send_signal\(\d+<pid:(\d+)>|\brt_\w+\((\d+)/

/**
 * Whether a line of strace's is of no call: who is killed while strace looks at it is said to have made the call that strace saw
 * last, another's, with a descriptor that it does not have.
 */
function isPhantom(lines: string[], at: number): boolean {
  const [, pid] = /^(\d+) +pidfd_send_signal\(\d+, .*<unfinished \.\.\.>$/.exec(lines[at]!) ?? []
  const next = pid && lines.slice(at + 1).find(line => Number.parseInt(line, 10) === Number(pid))
  return /^\d+ +\+\+\+ killed by SIGKILL \+\+\+$/.test(next || '')
}

/** What a worker is said to be that must be a number in its range. */
const COUNTERS = ['requests', 'connections', 'accepted', 'inFlight', 'backlog', 'rss', 'heap'] as const

/** Who is no child of lookout's. */
function stranger(): number {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
  cleanups.push(() => void child.kill('SIGKILL'))
  return child.pid!
}

/** What the statistics file says of each worker: how many numbers were looked at. */
function checkStats(file: string): number {
  const { workers } = readStats(file)
  for (const worker of workers) {
    for (const name of COUNTERS) expect(worker[name], name).to.be.within(0, Number.MAX_SAFE_INTEGER)
    expect(worker.utilization).to.be.within(0, 1)
    expect(worker.status).to.be.within(0, 255)
    expect(Date.parse(worker.startedAt)).to.be.within(Date.now() - 60_000, Date.now())
  }
  return workers.length * (COUNTERS.length + 2)
}

describe('hostile statistics', () => {
  fault(26, 'the statistics truncated', 'EPERM, no SIGBUS', async () => {
    const lookout = await awake(2, [app(CUTS)])
    const codes: string[] = JSON.parse((await request(lookout.url, '/cut')).body)
    for (const pid of [lookout.pid, lookout.master!, ...lookout.workers]) {
      for (const { fd } of descriptorsOf(pid).filter(({ of }) => of.startsWith('/memfd:lookout'))) {
        for (const length of [0, 2 ** 20]) {
          try {
            fs.truncateSync(`/proc/${pid}/fd/${fd}`, length)
            codes.push('done')
          } catch (error) {
            codes.push((error as NodeJS.ErrnoException).code!)
          }
        }
      }
    }
    expect(codes).to.have.length.above(15)
    expect(codes).to.deep.equal(codes.map(() => 'EPERM'))
    for (let count = 0; count < 100; count++) expect((await request(lookout.url)).body).to.equal('hello')
    expect(lookout.count(/killed by signal/), lookout.stderr).to.equal(0)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    return `${codes.length} of ${codes.length} attempts EPERM, of the worker and of others; nobody died`
  })

  fault(
    27,
    'random bytes in the statistics; pid 1, -1, a stranger',
    '0 signals to others, counters in range; a worker writes to its own slot alone',
    async function () {
      skipWithout(this, cannotTrace())
      const pid = stranger()
      const file = path.join(temporaryFolder(), 'stats.json')
      const options = ['--watchdog', '400ms', '--max-use', '1000', '--max-rss', '300M', '--max-lifetime', '1s']
      const args = ['-w', '3', ...options, '--stats-file', file, '--idle', '10s', '--grace', '300ms', app(SCRIBBLES)]
      const lookout = await Lookout.start(args, { env: { STRANGER: `${pid}` } })
      const traced = await trace(lookout.pid, '-e', `trace=${SENDS}`, '--decode-fds=pidfd')
      expect((await request(lookout.url)).body).to.equal('hello')
      let checked = 0
      const end = performance.now() + 6000
      await until('6 s of it', async () => {
        expect((await request(lookout.url)).body).to.equal('hello')
        if (fs.existsSync(file)) checked += checkStats(file)
        return performance.now() > end
      })
      const written: Record<string, number> = await until('one that has met a peer', async () => {
        const known = JSON.parse((await request(lookout.url, '/written')).body)
        return 'r--s EIO' in known && known
      })
      expect(written).to.have.all.keys('rw-s done', 'r--s EIO')
      lookout.signal('SIGUSR1')
      await lookout.line(/^master \d+: \{"name"/m)
      expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
      await traced.detach()
      const lines = traced.lines()
      const own = new Set(lines.map(line => Number.parseInt(line, 10)))
      const sent = lines.filter((line, at) => SENT.test(line) && !isPhantom(lines, at))
      expect(sent.filter(line => !TARGET.test(line))).to.deep.equal([])
      const targets = sent.map(line => Number(TARGET.exec(line)!.slice(1).find(Boolean)))
      expect(targets.length).to.be.above(0)
      expect(targets.filter(target => !own.has(Math.abs(target)) || target === -1)).to.deep.equal([])
      expect(own.has(pid)).to.equal(false)
      expect(isAlive(pid)).to.equal(true)
      expect(checked).to.be.above(100)
      const count = (number: number) => number.toLocaleString('en')
      return `${targets.length} signals, all to its own; ${count(checked)} numbers read, all in range; ${count(written['r--s EIO']!)} writes to other slots by a worker, each refused`
    },
  )

  fault(28, 'torn reads: a writer against 1,000,000 reads', '0 impossible values', async () => {
    const stats = new Stats(4)
    cleanups.push(() => stats.unmap())
    const { torn, seen } = await readWhileWritten(stats, 1_000_000)
    expect(torn).to.equal(0)
    expect(seen).to.be.above(1000)
    return `${torn} of 1,000,000, which saw ${seen.toLocaleString('en')} different moments`
  })
})
