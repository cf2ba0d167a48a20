/** System calls that fail, by strace: it says which, waits longer every time, keeps the connection, and serves it when it can. */

import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { temporaryFolder, until } from '../support/lookout.js'
import { FINE, once, Resting, underStrace } from './resting.js'

/** strace's options for a fault: "calls:error=...". It injects only into calls that it traces, so into all by default. */
function inject(fault: string, ...options: string[]): string[] {
  return [...options, '-o', '/dev/null', '-e', `trace=${fault.replace(/:.*/, '')}`, '-e', `inject=${fault}`]
}

// `?` is for what not every machine has.

const FORK = '?fork,?vfork,clone,?clone3'
const POLL = '?poll,?ppoll'

describe('the resting program, when system calls fail', () => {
  it('keeps the connection for later when it cannot fork', async () => {
    const lookout = await Resting.start(underStrace(...inject(`${FORK}:error=EAGAIN:when=1..3`)), [once])
    const client = lookout.connect()
    const master = await client.served
    const failures = [100, 200, 400].map(
      delay => `cannot wake one: Resource temporarily unavailable; next try in ${delay} ms`,
    )
    await lookout.line(/ wakes /)
    expect(lookout.stderr.match(/(?<=: ).*/g)).to.deep.equal(['is ready', ...failures, `wakes one: master ${master}`])
    client.close()
    await lookout.line(/ one rests$/)
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
  })

  for (const [call, fault, cause] of [
    // Each process counts its own calls: lookout's first fails, too, and every child's.
    ['fork', `${FORK}:error=EAGAIN:when=1`, 'Resource temporarily unavailable'],
    ['socketpair', 'socketpair:error=EMFILE', 'Too many open files'],
    ['memfd_create', 'memfd_create:error=ENFILE', 'Too many open files in system'],
    ['ftruncate', 'ftruncate:error=ENOSPC', 'No space left on device'],
    ['setpgid', 'setpgid:error=EPERM', 'Operation not permitted'],
    ['dup2', '?dup2,?dup3:error=EBUSY', 'Device or resource busy'],
    ['open /dev/null', 'openat:error=ENOENT', 'No such file or directory'],
  ] as const) {
    it(`backs off when its child cannot ${call}`, async () => {
      const lookout = await Resting.start(underStrace(...inject(fault, '-f')), [once])
      lookout.connect()
      await lookout.line(/: master of one exited with 1; next try in \d+ ms$/, 2)
      expect(lookout.count(new RegExp(`^lookout ${lookout.pid}: cannot ${call}: ${cause}$`))).to.be.at.least(2)
      const delays = lookout.stderr.match(/(?<=next try in )\d+/g)
      expect(delays?.slice(0, 2)).to.deep.equal(['100', '200'])
      expect(lookout.count(/ wakes /)).to.be.at.most(delays!.length + 1)
      expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    })
  }

  for (const [fault, message] of [
    ['signalfd4:error=EMFILE', 'cannot signalfd: Too many open files'],
    [`${POLL}:error=ENOMEM:when=1`, 'cannot poll: Cannot allocate memory'],
  ] as const) {
    it(`gives up when its ${fault.replace(/^.*,/, '')}`, async () => {
      const lookout = await Resting.start(underStrace(...inject(fault)), [once], { ready: '' })
      expect(await lookout.end()).to.deep.equal({ code: 1, signal: null })
      expect(lookout.stderr.match(/(?<=: ).*/g)).to.deep.equal([message])
    })
  }

  it('is not impressed by a poll that is interrupted', async () => {
    const lookout = await Resting.start(underStrace(...inject(`${POLL}:error=EINTR:when=2..1000`)), [once])
    const client = lookout.connect()
    await client.served
    client.close()
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
  })

  it('kills the group of a master that has died before it reaps it', async () => {
    const log = path.join(temporaryFolder(), 'trace')
    const lookout = await Resting.start(underStrace('-o', log, '-e', 'trace=kill,wait4,waitid'), [once])
    const client = lookout.connect()
    const master = await client.served
    client.close()
    await lookout.line(/ one rests$/)
    expect(await lookout.end('SIGTERM')).to.deep.equal(FINE)
    const calls = await until('the trace', () => fs.readFileSync(log, 'utf8').match(/^(kill|wait4)\(-?\d+/gm))
    expect(calls).to.deep.equal([`kill(-${master}`, `wait4(${master}`])
  })
})
