/** How the resting program ends: what it asks of the masters, how long it waits, what it leaves. */

import fs from 'node:fs'
import { expect } from 'chai'
import { isAlive, temporaryFolder, until } from '../support/lookout.js'
import { type App, asBuilt, builds, FINE, listenTcp, listenUnix, once, Resting } from './resting.js'

/** Serves until it is told to end; ends when it has waited for that. */
const patient: App = { master: ['term', 'say', 'drained', 'exit', '0'] }

/** Does not end. */
const deaf: App = { grace: 100, master: ['deaf', 'hum'], worker: ['deaf', 'hum'] }

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

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      it(`is when the masters have drained on ${signal}`, async () => {
        const lookout = await Resting.start(build, [patient, { ...patient, name: 'two' }])
        lookout.connect(0)
        lookout.connect(1)
        await lookout.said('waits', 2)
        expect(await lookout.end(signal)).to.deep.equal(FINE)
        expect(await lookout.said('drained')).to.have.length(2)
        expect(lookout.count(/ rests$| next try /)).to.equal(0)
      })
    }

    for (const signals of [['SIGQUIT'], ['SIGINT', 'SIGINT'], ['SIGTERM', 'SIGINT', 'SIGINT']] as const) {
      it(`is the death of the group on ${signals.join(', ')}`, async () => {
        const asked = signals.slice(1).flatMap(() => ['term', 'say', 'asked'])
        const master = ['straggler', ...asked, 'deaf', 'hum']
        const lookout = await Resting.start(build, [{ master }])
        lookout.connect()
        const [straggler] = await lookout.said('straggler')
        const last = signals.at(-1)
        for (const [index, signal] of signals.slice(0, -1).entries()) {
          await lookout.said('waits', index + 1)
          lookout.signal(signal)
          await lookout.said('asked', index + 1)
        }
        await lookout.said('deaf')
        expect(await lookout.end(last)).to.deep.equal({ code: last === 'SIGQUIT' ? 131 : 130, signal: null })
        await until('the straggler gone', () => !isAlive(straggler!))
      })
    }

    it('comes a second after the grace for a master that ignores TERM', async () => {
      const lookout = await Resting.start(build, [deaf])
      lookout.connect()
      await lookout.said('deaf', 2)
      const start = performance.now()
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(performance.now() - start).to.be.within(1100, 6000)
    })

    it('comes a second after the grace for a master that is stopped', async () => {
      const lookout = await Resting.start(build, [{ ...patient, grace: 0 }])
      lookout.connect()
      process.kill((await lookout.said('waits'))[0]!, 'SIGSTOP')
      const start = performance.now()
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      expect(performance.now() - start).to.be.within(1000, 6000)
    })

    for (const [signal, code] of [
      ['SIGTERM', 0],
      ['SIGINT', 0],
      ['SIGQUIT', 131],
    ] as const) {
      it(`is right whenever ${signal} comes while it wakes`, async () => {
        for (let offset = 0; offset < 2000; offset += build === asBuilt ? 50 : 500) {
          const lookout = await Resting.start(build, [{ master: ['exit', '0'] }])
          const start = performance.now()
          lookout.connect()
          await new Promise(setImmediate)
          while (performance.now() < start + offset / 1000);
          expect(await lookout.end(signal), `${offset} us`).to.deep.equal({ code, signal: null })
        }
      })
    }

    it('is the end of what it woke, when it is killed', async () => {
      const lookout = await Resting.start(build, [{ master: ['serve', '0', 'hum'], worker: ['deaf', 'hum'] }])
      const master = await lookout.connect().served
      const [worker] = await lookout.said('deaf')
      lookout.signal('SIGKILL')
      await until('both gone', () => !isAlive(master) && !isAlive(worker!), 1000)
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
