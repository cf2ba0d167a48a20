/** What others do to the resting program: logs nobody reads, orphans, signals, a socket shut down. */

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { temporaryFolder, until } from '../support/lookout.js'
import { type App, builds, FINE, once, Resting } from './resting.js'

function pipe(): string {
  const file = path.join(temporaryFolder(), 'log')
  execFileSync('mkfifo', [file])
  return file
}

function fill(fd: number): void {
  try {
    for (;;) fs.writeSync(fd, '#'.repeat(4096))
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).to.equal('EAGAIN')
  }
}

async function serveOnce(lookout: Resting): Promise<void> {
  const client = lookout.connect()
  await client.served
  client.close()
}

for (const build of builds) {
  describe(`the resting program ${build.name}: others`, () => {
    it('goes on with a log that is full', async () => {
      const fifo = fs.openSync(pipe(), fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
      const log = fs.openSync(`/proc/self/fd/${fifo}`, fs.constants.O_RDWR)
      fill(fifo)
      const lookout = await Resting.start(build, [once], { stderr: log })
      await serveOnce(lookout)
      await serveOnce(lookout)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
      fs.closeSync(log)
      fs.closeSync(fifo)
    })

    it('goes on with a log that nobody reads any more', async () => {
      const file = pipe()
      const reader = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
      const log = fs.openSync(file, fs.constants.O_WRONLY)
      fs.closeSync(reader)
      const lookout = await Resting.start(build, [once], { stderr: log })
      fs.closeSync(log)
      await serveOnce(lookout)
      await serveOnce(lookout)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('gives up when its socket is shut down, rather than to wake for ever', async () => {
      const lookout = await Resting.start(build, [{ master: ['shut', 'exit', '0'] }])
      lookout.connect()
      expect(await lookout.end()).to.deep.equal({ code: 1, signal: null })
      expect(lookout.stderr).to.match(/ cannot listen: a socket was shut down\n$/)
      expect(lookout.count(/ wakes /)).to.equal(1)
    })

    it('reaps orphans that come to it, as they do to a PID 1', async () => {
      const app: App = { master: ['orphans', '20', 'serve', '0', 'exit', '0'] }
      const lookout = await Resting.start(build, [app], { before: ['adopt'] })
      const client = lookout.connect()
      const master = await client.served
      const orphans = await lookout.said('orphan', 20)
      const children = () =>
        fs.readFileSync(`/proc/${lookout.pid}/task/${lookout.pid}/children`, 'utf8').trim().split(' ').map(Number)
      await until('all are its children', () => children().length === 21)
      for (const pid of orphans) process.kill(pid, 'SIGKILL')
      await until('no zombie', () => children().length === 1)
      expect(children()).to.deep.equal([master])
      client.close()
      await lookout.line(/ one rests$/)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })

    it('is not confused by signals that tell of nothing', async () => {
      const lookout = await Resting.start(build, [once])
      const client = lookout.connect()
      await client.served
      for (let i = 0; i < 1000; i++) lookout.signal(i % 2 === 0 ? 'SIGCHLD' : 'SIGPIPE')
      lookout.signal('SIGSTOP')
      const next = lookout.connect()
      client.close()
      lookout.signal('SIGCONT')
      await next.served
      next.close()
      await lookout.line(/ one rests$/, 2)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })
  })
}
