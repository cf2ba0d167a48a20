/** Statistics that are read while another process writes them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Stats } from '../../lib/stats.js'
import { cleanups, MARK, ROOT } from './lookout.js'

/** Another process, which has `fd` as 3, runs this script, and has said something. */
async function another(fd: number, script: string): Promise<ChildProcess> {
  const [name, value] = MARK.split('=') as [string, string]
  const child = spawn(process.execPath, ['--eval', script], {
    cwd: path.join(ROOT, 'dist/lib'),
    env: { ...process.env, [name]: value },
    stdio: ['ignore', 'pipe', 'inherit', fd],
  })
  cleanups.push(() => void child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  return child
}

/** Reads a slot that another writes as fast as it can: how often it saw half of what was written, and how many moments it saw. */
export async function readWhileWritten(stats: Stats, reads: number): Promise<{ torn: number; seen: number }> {
  const writer = await another(
    stats.fd(1),
    `const { Slot } = require('./slot.js')
    const slot = new Slot(3, 'writing')
    for (let i = 1; ; i++) {
      slot.write({ requests: i, accepted: i, backlog: i, rss: i, heap: i })
      if (i === 1000) fs.writeSync(1, 'goes')
    }`,
  )
  const seen = new Set<number>()
  let torn = 0
  for (let count = 0; count < reads; count++) {
    const { requests, accepted, backlog, rss, heap } = stats.read(1)
    if (requests !== accepted || requests !== backlog || requests !== rss || requests !== heap) torn++
    seen.add(requests)
  }
  writer.kill('SIGKILL')
  return { torn, seen: seen.size }
}
