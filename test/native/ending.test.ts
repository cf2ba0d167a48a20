/** How the resting program ends: what it asks of the masters, how long it waits, what it leaves. */

import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { isAlive, temporaryFolder, until } from '../support/lookout.js'
import { type App, asBuilt, builds, FINE, listenTcp, listenUnix, once, Resting } from './resting.js'

/** Ends when it is asked to. */
const obedient: App = { master: ['lifeline', 'exit', '0'] }

/** Does not end. */
const deaf: App = { grace: 100, master: ['hum'], worker: ['hum'] }

/** Whether it has a descriptor of that: socket:[1234]. */
function holds(pid: number, what: string): boolean {
  return fs.readdirSync(`/proc/${pid}/fd`).some(fd => fs.readlinkSync(`/proc/${pid}/fd/${fd}`) === what)
}

/** The signals that wait to be taken, as a mask. */
function pending(pid: number): bigint {
  return BigInt(`0x${/^ShdPnd:\s+(\w+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))![1]}`)
}

for (const build of builds) {
  describe(`the resting program ${build.name}: the end`, () => {
    for (const [signal, code] of [
      ['SIGTERM', 0],
      ['SIGINT', 0],
      ['SIGHUP', 0],
      ['SIGQUIT', 131],
    ] as const) {
      it(`is at once on ${signal} at rest`, async () => {
        const lookout = await Resting.start(build, [{ ...once, grace: 1_000_000_000 }])
        expect(await lookout.end(signal)).to.deep.equal({ code, signal: null })
      })
    }

    it('removes the files that go with it', async () => {
      const folder = temporaryFolder()
      const files = ['pid', 'missing'].map(name => path.join(folder, name))
      fs.writeFileSync(files[0]!, '')
      const lookout = await Resting.start(build, [once], { files })
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(fs.readdirSync(folder)).to.deep.equal([])
    })

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      it(`is when the masters have drained on ${signal}`, async () => {
        const lookout = await Resting.start(build, [obedient, { ...obedient, name: 'two' }])
        lookout.connect(0)
        lookout.connect(1)
        await lookout.said('waits', 2)
        expect(await lookout.end(signal)).to.deep.equal(FINE)
        expect(await lookout.said('asked')).to.have.length(2)
        expect(lookout.count(/ rests$| next try /)).to.equal(0)
      })
    }

    for (const signals of [['SIGQUIT'], ['SIGINT', 'SIGINT'], ['SIGTERM', 'SIGINT', 'SIGINT']] as const) {
      it(`is the death of the group on ${signals.join(', ')}`, async () => {
        const lookout = await Resting.start(build, [{ master: ['straggler', 'lifeline', 'hum'] }])
        lookout.connect()
        const [straggler] = await lookout.said('straggler')
        await lookout.said('waits')
        for (const signal of signals.slice(0, -1)) {
          lookout.signal(signal)
          await until('it has taken the signal', () => pending(lookout.pid) === 0n)
          await lookout.said('asked')
        }
        const last = signals.at(-1)!
        expect(await lookout.end(last)).to.deep.equal({ code: last === 'SIGQUIT' ? 131 : 130, signal: null })
        await until('the straggler gone', () => !isAlive(straggler!))
      })
    }

    it('comes a second after the grace for a master that will not end', async () => {
      const lookout = await Resting.start(build, [deaf])
      lookout.connect()
      await lookout.said('hums', 2)
      const start = performance.now()
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(performance.now() - start).to.be.within(1100, 20_000)
    })

    it('comes a second after the grace for a master that is stopped', async () => {
      const lookout = await Resting.start(build, [{ ...obedient, grace: 0 }])
      lookout.connect()
      process.kill((await lookout.said('waits'))[0]!, 'SIGSTOP')
      const start = performance.now()
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(performance.now() - start).to.be.within(1000, 20_000)
    })

    for (const [signal, code] of [
      ['SIGTERM', 0],
      ['SIGINT', 0],
      ['SIGQUIT', 131],
    ] as const) {
      it(`is right whenever ${signal} comes while it wakes`, async () => {
        for (let offset = 0; offset < 2000; offset += build === asBuilt ? 100 : 500) {
          const lookout = await Resting.start(build, [{ master: ['exit', '0'] }])
          const start = performance.now()
          lookout.connect()
          await new Promise(setImmediate)
          while (performance.now() < start + offset / 1000);
          expect(await lookout.end(signal), `${offset} us`).to.deep.equal({ code, signal: null })
        }
      }).timeout(120_000)
    }

    it('is known to its masters, when it is killed', async () => {
      const lookout = await Resting.start(build, [obedient])
      lookout.connect()
      const [master] = await lookout.said('waits')
      const [worker] = await lookout.said('hums')
      lookout.signal('SIGKILL')
      await lookout.said('orphaned')
      await until('both gone', () => !isAlive(master!) && !isAlive(worker!))
    })

    it('lets go of its addresses before its masters have drained', async () => {
      const file = `${temporaryFolder()}/socket`
      const fd = listenUnix(file)
      const socket = fs.readlinkSync(`/proc/self/fd/${fd}`)
      const app: App = { master: ['lifeline', 'hum'] }
      const lookout = await Resting.start(build, [app], { sockets: [fd] })
      lookout.connect()
      const [master] = await lookout.said('waits')
      expect(holds(lookout.pid, socket)).to.equal(true)
      lookout.signal('SIGTERM')
      await lookout.said('asked')
      expect(isAlive(master!)).to.equal(true)
      expect(fs.existsSync(file)).to.equal(false)
      expect(holds(lookout.pid, socket)).to.equal(false)
      expect(await lookout.end('SIGQUIT')).to.deep.equal({ code: 131, signal: null })
    })

    it('takes the socket files and their locks away, but no file that replaced one', async () => {
      const folder = temporaryFolder()
      const [ours, replaced, removed] = [`${folder}/ours`, `${folder}/replaced`, `${folder}/removed`]
      const sockets = [listenUnix(ours), listenUnix(replaced), listenUnix(removed), listenTcp().fd]
      for (const file of [ours, replaced]) fs.writeFileSync(`${file}.lock`, '')
      const lookout = await Resting.start(build, [{ ...once, sockets: 4 }], { sockets })
      fs.rmSync(replaced)
      fs.writeFileSync(replaced, 'another')
      fs.rmSync(removed)
      const client = lookout.connect(0)
      await client.served
      client.close()
      await lookout.line(/ one rests$/)
      expect(fs.readdirSync(folder)).to.have.members(['ours', 'ours.lock', 'replaced', 'replaced.lock'])
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(fs.readdirSync(folder)).to.have.members(['replaced', 'replaced.lock'])
      expect(fs.readFileSync(replaced, 'utf8')).to.equal('another')
    })
  })
}
