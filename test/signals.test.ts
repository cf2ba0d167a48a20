/** Signals to lookout, what the app sees of them, and the group that keeps a terminal's Ctrl-C from it. */
import fs from 'node:fs'
import net from 'node:net'
import { expect } from 'chai'
import { request } from './support/client.js'
import { waiting } from './support/kernel.js'
import { cleanups, fixture, isAlive, Lookout, until } from './support/lookout.js'

function groupOf(pid: number): number {
  return Number(/\) \S (?:\d+) (\d+)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1])
}

/** Awake, with a request of `ms` in flight. */
async function inFlight(ms: number, ...options: string[]): Promise<{ lookout: Lookout; answer: Promise<string> }> {
  const lookout = await Lookout.start([...options, fixture('stopping.js')])
  const answer = request(lookout.url, `/slow?${ms}`).then(
    ({ body }) => body,
    error => error.code,
  )
  await until('in flight', () => lookout.stdout.includes('slow begins'))
  return { lookout, answer }
}

describe('signals', () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`${signal} drains: the request is answered, then the app's handlers run, then exit 0`, async () => {
      const { lookout, answer } = await inFlight(500)
      lookout.signal(signal)
      expect(await answer).to.equal('slow')
      expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
      expect(lookout.stdout).to.match(/slow ends\n(.*\n)*SIGTERM\nserver closed\nexit 0\n/)
    })

    it(`${signal} at rest is the end at once`, async () => {
      const lookout = await Lookout.start([fixture('plain.js')])
      lookout.signal(signal)
      expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
    })
  }

  it('nobody is accepted once it is stopping: the address is free', async () => {
    const { lookout, answer } = await inFlight(3000)
    let answered = false
    void answer.then(() => {
      answered = true
    })
    lookout.signal('SIGTERM')
    await until('refused', () =>
      request(lookout.url).then(
        () => false,
        error => error.code === 'ECONNREFUSED',
      ),
    )
    expect(answered, 'the worker is still there').to.equal(false)
    expect(await answer).to.equal('slow')
  })

  it('a second SIGINT ends it at once', async () => {
    const { lookout, answer } = await inFlight(20_000)
    const { workers } = lookout
    lookout.signal('SIGINT')
    await lookout.line(/ends: stopped/)
    lookout.signal('SIGINT')
    expect(await lookout.ended).to.deep.equal({ code: 130, signal: null })
    expect(await answer).to.equal('ECONNRESET')
    // The pipes whose end was waited for are closed a moment before a killed process has become a zombie.
    await until('the workers gone', () => !workers.some(isAlive), 1000)
  })

  it('SIGQUIT ends it at once', async () => {
    const { lookout, answer } = await inFlight(20_000)
    lookout.signal('SIGQUIT')
    expect(await lookout.ended).to.deep.equal({ code: 131, signal: null })
    expect(await answer).to.equal('ECONNRESET')
  })

  it('a request that outlasts --grace is cut, and the app killed', async () => {
    const { lookout, answer } = await inFlight(20_000, '--grace', '500ms')
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    expect(await answer).to.equal('ECONNRESET')
  })

  it('an app that ignores SIGTERM is killed after --grace', async () => {
    const lookout = await Lookout.start(['--grace', '300ms', fixture('stubborn.js')])
    await request(lookout.url)
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
    expect(lookout.stdout).to.equal('SIGTERM ignored\n')
  })

  it('a master that is stopped is killed after --grace', async () => {
    const lookout = await Lookout.start(['--grace', '200ms', fixture('plain.js')])
    await request(lookout.url)
    process.kill(lookout.master!, 'SIGSTOP')
    expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  })

  it('connections that wait to be accepted are answered before the end', async () => {
    const lookout = await Lookout.start([fixture('stopping.js')])
    await request(lookout.url)
    // The worker does not get to accept them all before it hears of the end: its event loop is busy.
    const busy = request(lookout.url, '/busy?1000')
    await until('busy', () => lookout.stdout.includes('busy begins'))
    const others = Array.from({ length: 5 }, () => request(lookout.url))
    await until('they wait', () => waiting(lookout.port) === 5)
    lookout.signal('SIGTERM')
    expect((await busy).body).to.equal('busy')
    for (const { body } of await Promise.all(others)) expect(body).to.equal('hello')
    await lookout.ended
  })

  it("runs the app's SIGTERM handlers when it rests, too", async () => {
    const lookout = await Lookout.start(['--idle', '200ms', fixture('stopping.js')])
    await request(lookout.url)
    await lookout.rests()
    await until('it said so', () => /SIGTERM\nserver closed\nexit 0\n/.test(lookout.stdout))
  })

  it('the woken app has a process group of its own', async () => {
    const lookout = await Lookout.start(['-w', '2', fixture('plain.js')])
    await request(lookout.url)
    await until('two workers', () => lookout.workers.length === 2)
    const groups = lookout.workers.map(groupOf)
    expect(groups).to.deep.equal([lookout.master, lookout.master])
    expect(groupOf(lookout.pid)).to.not.equal(lookout.master)
  })

  it('raw connections are waited for until --grace, no longer', async () => {
    const lookout = await Lookout.start(['--grace', '500ms', '--no-defer-accept', fixture('kinds/net.js')])
    const socket = net.connect(lookout.port, '127.0.0.1')
    cleanups.push(() => void socket.destroy())
    socket.on('error', () => {})
    const echoed = new Promise(resolve => socket.once('data', resolve))
    socket.write('one')
    await echoed
    lookout.signal('SIGTERM')
    await lookout.line(/ends: stopped/)
    const again = new Promise(resolve => socket.once('data', data => resolve(data.toString())))
    socket.write('two')
    expect(await again).to.equal('two')
    expect(await lookout.ended).to.deep.equal({ code: 0, signal: null })
  })
})
