/** After every test: what it started is ended, and nothing is left: no process of ours, no shared memory, no file. */
import fs from 'node:fs'
import { cleanups, isAlive, MARK, until } from './lookout.js'

/** Processes that tests have started, as their pid and command line. */
export function leftovers(): string[] {
  return fs
    .readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid && isAlive(Number(name)))
    .flatMap(pid => {
      try {
        if (!fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes(MARK)) return []
        return [`${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replace(/\0/g, ' ')}`]
      } catch {
        return [] // ended meanwhile, or not ours
      }
    })
}

export const mochaHooks = {
  async afterEach(): Promise<void> {
    for (let undo = cleanups.pop(); undo; undo = cleanups.pop()) await undo()
    await until('nothing left behind', () => leftovers().length === 0, 3000).catch(() => {
      const left = leftovers()
      for (const line of left) process.kill(Number.parseInt(line, 10), 'SIGKILL')
      throw new Error(`left behind:\n${left.join('\n')}`)
    })
  },
}
