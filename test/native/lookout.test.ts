/** What the contract at the top of native/lookout.c promises, asked of the program as built, with sanitizers and under valgrind. */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { hasPending, waiting } from '../support/kernel.js'
import { childrenOf, isAlive, temporaryFolder, until } from '../support/lookout.js'
import { type App, argumentsOf, builds, FINE, listenTcp, once, puppet, Resting } from './resting.js'

/** What a process was started with. */
function inspect(pid: number) {
  const read = (file: string) => fs.readFileSync(`/proc/${pid}/${file}`, 'utf8')
  const entries = read('environ').split('\0').filter(Boolean)
  const env = Object.fromEntries(entries.map(entry => [entry.replace(/=.*/s, ''), entry.replace(/^[^=]*=/, '')]))
  const links = fs.readdirSync(`/proc/${pid}/fd`).map(fd => [fd, fs.readlinkSync(`/proc/${pid}/fd/${fd}`)] as const)
  const fds = Object.fromEntries(links.filter(([, link]) => !link.endsWith('/valgrind'))) // it lets everybody have itself
  const [parent, group] = read('stat')
    .replace(/^.*\) . /s, '')
    .split(' ')
    .map(Number)
  return { env, fds, parent, group, blocked: /^SigBlk:\s+0+$/m.test(read('status')) ? 'none' : 'some' }
}

/** CLOCK_MONOTONIC, in ms, for a performance.now(). */
function monotonic(time: number): number {
  return Number(process.hrtime.bigint() / 1_000_000n) - (performance.now() - time)
}

for (const build of builds) {
  describe(`the resting program ${build.name}: from rest to rest`, () => {
    it('wakes an app for a connection, rests when its master has ended, wakes it again', async () => {
      const lookout = await Resting.start(build, [once])
      expect(childrenOf(lookout.pid)).to.deep.equal([])
      for (const turn of [1, 2, 3]) {
        const client = lookout.connect()
        const master = await client.served
        await lookout.line(new RegExp(`wakes one: master ${master}$`))
        const [worker] = await until('a worker', () => childrenOf(master))
        client.close()
        await lookout.line(/ one rests$/, turn)
        await until('the worker gone', () => !isAlive(worker!))
      }
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(lookout.count(/ wakes /)).to.equal(3)
    })

    it('wakes nobody while the master lives, and the next at once for who came meanwhile', async () => {
      const lookout = await Resting.start(build, [once])
      const clients = [lookout.connect(), lookout.connect(), lookout.connect()]
      const masters = []
      while (clients.length > 0) {
        const [served, pid] = await Promise.race(clients.map(async client => [client, await client.served] as const))
        masters.push(pid)
        expect(lookout.count(/ wakes /)).to.be.at.most(masters.length)
        clients.splice(clients.indexOf(served), 1)
        served.close()
      }
      await lookout.line(/ one rests$/, 3)
      expect(new Set(masters).size).to.equal(3)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('gives master and worker what the contract says, and nothing else', async () => {
      const lock = fs.openSync(path.join(temporaryFolder(), 'lock'), 'w')
      const app: App = {
        sockets: 2,
        env: ['LISTEN_FDNAMES=web:admin', 'COLOUR=blue'],
        master: ['hear', 'serve', '1', 'exit', '0'],
        worker: ['send', 'say', 'sent', 'hum'],
      }
      const sockets = [listenTcp().fd, listenTcp().fd, listenTcp().fd]
      const inodes = sockets.map(fd => fs.readlinkSync(`/proc/self/fd/${fd}`))
      const below = Array<number>(20).fill(lock) // more than the children's descriptors cover
      const env = { LOOKOUT_NODE_OPTIONS: '--no-warnings', NODE_OPTIONS: undefined }
      const lookout = await Resting.start(build, [app, { ...once, name: 'another' }], { below, sockets, env })
      fs.closeSync(lock)
      const before = performance.now()
      const client = lookout.connect(1)
      const master = await client.served
      const [worker] = await lookout.said('sent')
      expect(await lookout.said('heard'), 'over the socket pair').to.deep.equal([master])

      const [its, theirs] = [inspect(master), inspect(worker!)]
      for (const { env, fds, blocked, group } of [its, theirs]) {
        expect(env).to.include({ LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:admin', COLOUR: 'blue' })
        expect(env).to.have.property('PATH', process.env.PATH)
        expect([fds[0], fds[3], fds[4]]).to.deep.equal(['/dev/null', ...inodes.slice(0, 2)])
        expect(fds[5]).to.match(/^socket:/)
        expect(fds[6]).to.equal('/memfd:lookout-stats (deleted)')
        expect(blocked).to.equal('none')
        expect(group).to.equal(master)
      }
      expect(Object.keys(theirs.fds)).to.have.members(['0', '1', '2', '3', '4', '5', '6'])
      expect(Object.keys(its.fds)).to.have.members(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
      expect(its.fds[7], 'the board').to.equal('/memfd:lookout (deleted)')
      expect(its.fds[8], 'its lifeline').to.match(/^pipe:/)
      expect(its.fds[9], 'the connection').to.match(/^socket:/)
      expect(its.fds[5]).not.to.equal(theirs.fds[5])
      expect(() => fs.truncateSync(`/proc/${master}/fd/6`, 0), 'sealed').to.throw('EPERM')
      expect([its.parent, theirs.parent]).to.deep.equal([lookout.pid, master])
      expect(its.env).to.include({ LISTEN_PID: `${master}`, LOOKOUT_WORKER_PID: `${worker}` })
      expect(its.env).not.to.have.any.keys('LOOKOUT_WORKER', 'NODE_OPTIONS')
      expect(Number(its.env.LOOKOUT_WOKEN)).to.be.within(monotonic(before) - 1, monotonic(performance.now()) + 1)
      expect(theirs.env).to.include({ LISTEN_PID: `${worker}`, LOOKOUT_WORKER: '0', NODE_OPTIONS: '--no-warnings' })
      expect(theirs.env).not.to.have.any.keys('LOOKOUT_WORKER_PID', 'LOOKOUT_WOKEN')
      client.close()
      await lookout.line(/ one rests$/)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('keeps two apps apart', async () => {
      const one: App = { ...once, name: 'one', env: ['APP=1'] }
      const two: App = { name: 'two', sockets: 2, env: ['APP=2'], master: ['serve', '1', 'exit', '0'] }
      const lookout = await Resting.start(build, [one, two])
      const [first, second] = [lookout.connect(0), lookout.connect(2)]
      const [master, other] = [await first.served, await second.served]
      await lookout.line(new RegExp(`wakes one: master ${master}$`))
      await lookout.line(new RegExp(`wakes two: master ${other}$`))
      expect([inspect(master).env.APP, inspect(other).env.APP]).to.deep.equal(['1', '2'])
      expect([inspect(master).env.LISTEN_FDS, inspect(other).env.LISTEN_FDS]).to.deep.equal(['1', '2'])
      second.close()
      await lookout.line(/ two rests$/)
      expect(lookout.count(/ one rests$/)).to.equal(0)
      expect(isAlive(master)).to.equal(true)
      first.close()
      await lookout.line(/ one rests$/)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('says nothing but failures when it is to be quiet', async () => {
      const lookout = await Resting.start(build, [{ master: ['serve', '0', 'exit', '3'] }], { quiet: true, ready: '' })
      const client = lookout.connect()
      await client.served
      client.close()
      await lookout.line(/^lookout \d+: master of one exited with 3; next try in 100 ms$/)
      await lookout.end('SIGTERM')
      expect(lookout.stderr.trim().split('\n')).to.have.length(1)
    })
  })

  describe(`the resting program ${build.name}: signals`, () => {
    it('are passed on to the masters that live, in order', async () => {
      const lookout = await Resting.start(build, [{ master: ['lifeline', 'exit', '0'] }])
      lookout.signal('SIGUSR2') // nobody is there
      lookout.connect()
      await lookout.said('waits')
      const numbers = os.constants.signals
      for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU', 'SIGTSTP', 'SIGCONT'] as const) {
        lookout.signal(signal)
        await lookout.said(`signal${numbers[signal]}`)
      }
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(lookout.stdout.match(/signal/g)).to.have.length(6)
    })

    it('TSTP has nobody woken until CONT', async () => {
      const lookout = await Resting.start(build, [once])
      lookout.signal('SIGTSTP')
      await until('TSTP was read', () => !hasPending(lookout.pid))
      const client = lookout.connect()
      await until('the connection waits', () => waiting(lookout.ports[0] as number) === 1)
      expect(lookout.count(/ wakes /)).to.equal(0)
      lookout.signal('SIGCONT')
      await client.served
      client.close()
      await lookout.line(/ one rests$/)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })
  })

  describe(`the resting program ${build.name}: a master that fails`, () => {
    it('is tried again after growing delays, the connection kept, until it works', async () => {
      const cure = path.join(temporaryFolder(), 'cure')
      const lookout = await Resting.start(build, [{ master: ['unless', cure, 'serve', '0', 'exit', '0'] }])
      const start = performance.now()
      const client = lookout.connect()
      await lookout.line(/next try in 800 ms$/)
      expect(performance.now() - start).to.be.at.least(100 + 200 + 400)
      const delays = () => lookout.stderr.match(/(?<=exited with 1; next try in )\d+(?= ms$)/gm) ?? []
      expect(delays().slice(0, 4)).to.deep.equal(['100', '200', '400', '800'])
      expect(lookout.count(/ wakes /)).to.be.within(4, delays().length + 1)
      fs.writeFileSync(cure, '')
      await client.served
      fs.rmSync(cure)
      client.close()
      await lookout.line(/ one rests$/)
      const before = delays().length
      lookout.connect()
      await until('a failure', () => delays().length > before)
      expect(delays()[before], 'those before its success are forgotten').to.equal('100')
      expect(await lookout.end('SIGTERM'), 'TERM while it waits').to.deep.equal(FINE)
    })

    it('leaves nothing of its group behind when it is killed', async () => {
      const app: App = { master: ['straggler', 'serve', '0', 'hum'], worker: ['straggler', 'hum'] }
      const lookout = await Resting.start(build, [app])
      const master = await lookout.connect().served
      const left = [...(await lookout.said('hums')), ...(await lookout.said('straggler', 2))]
      expect(left.map(isAlive)).to.deep.equal([true, true, true])
      process.kill(master, 'SIGKILL')
      await lookout.line(/ master of one was killed by signal 9; next try in 100 ms$/)
      await until('its group gone', () => !left.some(isAlive))
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('is not woken more often than ten times a second when it thinks it served', async () => {
      const lookout = await Resting.start(build, [{ master: ['exit', '0'] }])
      const start = performance.now()
      lookout.connect()
      await lookout.line(/ wakes /, 6)
      expect(performance.now() - start).to.be.at.least(500)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('is one that cannot be run', async () => {
      const args = argumentsOf([once]).map(word => (word === puppet() ? '/nonexistent/master' : word))
      const lookout = Resting.spawn(build, args, [listenTcp().fd])
      lookout.connect()
      await lookout.line(/ cannot run \/nonexistent\/master: No such file or directory$/)
      await lookout.line(/ master of one exited with 127; next try in 100 ms$/)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })
  })
}
