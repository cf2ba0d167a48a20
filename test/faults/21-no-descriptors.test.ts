/** Nothing left to be had: descriptors, processes, memory. */
import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { app } from '../support/app.js'
import { awake, readied } from '../support/awake.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { ticks } from '../support/kernel.js'
import { failures, hold, load } from '../support/load.js'
import { fixture, isAlive, Lookout, until } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'
import { freePort, Program } from '../support/program.js'
import { cannotTrace, inject } from '../support/strace.js'

/** Connections that are made at once, and stay. */
const CONNECTIONS = 600

/** Descriptors that the worker without room may have. */
const FEW = 40

/** ms that a client waits. */
const PATIENCE = 4000

/** ms of CPU time in a second that are no spin. */
const LITTLE = 100

/** How many of so many connections, which stay open, get no answer while one of two workers has no room. */
async function lost(url: string, worker: number): Promise<{ lost: number; served: number[] }> {
  execFileSync('prlimit', ['--pid', `${worker}`, `--nofile=${FEW}:${FEW}`])
  const { replies, errors } = hold(url, CONNECTIONS, '/pid')
  // Those that are neither answered nor ended are as good as lost, and waited for no longer than this.
  await until('all answered', () => replies.length + errors.length === CONNECTIONS, PATIENCE).catch(() => {})
  const right = replies.filter(({ status }) => status === 200)
  const own = right.filter(({ body }) => body === `${worker}`).length
  return { lost: CONNECTIONS - right.length, served: [own, right.length - own] }
}

/** The same app in two workers of node:cluster: by its round robin, or all of them accepting. */
async function cluster(policy: 'RR' | 'NONE'): Promise<{ url: string; worker: number }> {
  const port = await freePort()
  const program = Program.run([
    app(`const cluster = require('node:cluster')
      process.env.PORT = '${port}'
      cluster.schedulingPolicy = cluster.SCHED_${policy}
      if (cluster.isWorker) return require(${JSON.stringify(fixture('plain.js'))})
      let listening = 0
      cluster.on('listening', () => ++listening === 2 && console.log('both listen'))
      cluster.fork()
      cluster.fork()`),
  ])
  await program.line(/both listen/)
  return { url: `http://127.0.0.1:${port}`, worker: program.children[0]! }
}

/** Whichever calls of lookout, or of who it starts, fail: it tries again, later each time, and the connection is served at last. */
async function failing(call: string): Promise<{ tries: number; cpu: number }> {
  const lookout = await Lookout.start([fixture('plain.js')])
  const injected = await inject(lookout.pid, call)
  const before = ticks(lookout.pid)
  const answer = request(lookout.url)
  answer.catch(() => {})
  await until(`tries without ${call}`, () => lookout.count(/next try in \d+ ms$/) >= 4)
  const cpu = 10 * (ticks(lookout.pid) - before)
  const delays = lookout.stderr.match(/(?<=next try in )\d+/g)!.map(Number)
  expect(delays.slice(0, 4), lookout.stderr).to.deep.equal([100, 200, 400, 800])
  await injected.detach()
  expect((await answer).body).to.equal('hello')
  expect(cpu, 'ms').to.be.at.most(LITTLE)
  return { tries: lookout.count(/next try in/), cpu }
}

/** No worker can accept for a second: what it costs, and that nobody is lost for it. */
async function unaccepting(error: string): Promise<{ calls: number; cpu: number }> {
  const lookout = await awake(1, [fixture('plain.js')])
  const [worker] = lookout.workers
  const injected = await inject(worker!, `accept4:error=${error}`)
  const answers = Array.from({ length: 10 }, () => request(lookout.url))
  const calls = () => injected.lines().filter(line => line.includes('accept4(') && line.includes(error)).length
  await until('it is tried', () => calls() > 0)
  const [first, before, start] = [calls(), ticks(worker!), performance.now()]
  await until('a second', () => performance.now() > start + 1000)
  const seen = { calls: calls() - first, cpu: 10 * (ticks(worker!) - before) }
  await injected.detach()
  for (const { body } of await Promise.all(answers)) expect(body).to.equal('hello')
  expect(seen.calls, 'in a second').to.be.within(1, 150)
  expect(lookout.workers).to.deep.equal([worker])
  return seen
}

/** A worker dies, and another cannot be forked: the one that is left serves all, and later there are two again. */
async function unforkable(call: string): Promise<{ tries: number; requests: number }> {
  const lookout = await awake(2, [fixture('plain.js')])
  const [victim] = lookout.workers
  const injected = await inject(lookout.master!, call)
  process.kill(victim!, 'SIGKILL')
  await until('gone', () => !isAlive(victim!))
  const tried = () => lookout.count(/cannot start worker \d+: /)
  await until('a failure', () => tried() >= 1)
  const clients = load(lookout.url, { clients: 4, keepAlive: false })
  await until('three tries', () => tried() >= 3)
  const tries = tried()
  await injected.detach()
  await readied(lookout, 3)
  const counts = await clients.stop()
  expect(failures(counts), clients.errors.join('\n')).to.equal(0)
  return { tries, requests: counts.ok }
}

const FORK = '?fork,?vfork,clone,?clone3'

describe('nothing left to be had', () => {
  fault(21, 'EMFILE in one of two workers', '0 lost while the other has room', async () => {
    const lookout = await awake(2, [fixture('plain.js')])
    const ours = await lost(lookout.url, lookout.workers[0]!)
    expect(ours.lost).to.equal(0)
    expect(ours.served[0]).to.be.below(FEW)
    await lookout.stop()
    const theirs = []
    for (const policy of ['RR', 'NONE'] as const) {
      const { url, worker } = await cluster(policy)
      theirs.push((await lost(url, worker)).lost)
    }
    const figure = `${ours.lost} of ${CONNECTIONS} lost: ${ours.served.join(' and ')} served`
    return { figure, baseline: `node:cluster: ${theirs[0]} of ${CONNECTIONS} lost, by SCHED_NONE ${theirs[1]}` }
  })

  fault(
    22,
    'EMFILE, ENFILE in lookout and its children',
    'tries again, later each time; connection kept',
    async function () {
      skipWithout(this, cannotTrace())
      const faults = [
        'pipe2:error=EMFILE',
        'pipe2:error=ENFILE',
        'socketpair:error=EMFILE',
        'memfd_create:error=ENFILE',
      ]
      const all = []
      for (const fault of faults) all.push(await failing(fault))
      const accepts = []
      for (const error of ['EMFILE', 'ENFILE']) accepts.push(await unaccepting(error))
      const cpu = Math.max(...all.map(({ cpu }) => cpu))
      const most = Math.max(...accepts.map(({ calls }) => calls))
      return `${all.reduce((sum, { tries }) => sum + tries, 0)} tries that failed, ${all.length} of ${all.length} connections served, at most ${cpu} ms of CPU; a worker tries ${most} times a second`
    },
  )

  fault(23, 'fork: EAGAIN, ENOMEM', 'connection kept, tries again, later each time', async function () {
    skipWithout(this, cannotTrace())
    const all = []
    for (const error of ['EAGAIN', 'ENOMEM']) all.push(await failing(`${FORK}:error=${error}`))
    const { tries, requests } = await unforkable(`${FORK}:error=EAGAIN`)
    return `${all.length} of ${all.length} connections served after ${all.map(({ tries }) => tries).join(' and ')} tries; a second worker after ${tries}, 0 of ${requests.toLocaleString('en')} requests lost`
  })
})
