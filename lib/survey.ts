/** What is known of the apps of this user's lookouts, for those who ask. Reading it wakes nobody. */
import fs from 'node:fs'
import type { AppRecord } from './board.js'
import { boardOf, childrenOf, instances, mastersOf, openSlots } from './instances.js'
import { posix } from './posix.js'
import type { WorkerStats } from './slot.js'

export interface Survey {
  name: string
  state: 'rests' | 'awake' | 'fails'
  /** Where it listens, as a client would be told. */
  urls: string[]
  /** Whether one of its workers listens. */
  serves: boolean
  /** Of the lookout that holds it. */
  lookout: number
  /** While it is awake. */
  master: number | undefined
  workers: number[]
  /** Bytes resident, of master and workers; shared pages count in each. */
  rss: number
  record: AppRecord
}

/** Every app that is held, in order. */
export function survey(env: NodeJS.ProcessEnv): Survey[] {
  return instances(env).flatMap(instance => {
    const masters = mastersOf(instance)
    const found = instance.apps.map(app => {
      const { name, urls = [] } = app.config
      const master = masters.get(name)
      const workers = master === undefined ? [] : childrenOf(master)
      const { requests, ...rest } = boardOf(instance, app).read()
      const live = statsOf(master)
      const served = live.reduce((sum, { requests }) => sum + requests, 0)
      const record = { ...rest, ...justWoken(master, rest), requests: requests + served }
      return {
        name,
        state: stateOf(master, workers, record),
        urls,
        serves: live.some(({ booted }) => booted === 1),
        lookout: instance.pid,
        master,
        workers,
        rss: [master ?? [], workers].flat().reduce((sum, pid) => sum + residentOf(pid), 0),
        record,
      }
    })
    for (const fd of [instance.pidfd, instance.boardFd]) posix.close(fd)
    return found
  })
}

/** A master says that it is there once its app has answered. */
export function justWoken(
  master: number | undefined,
  { pid, wakes }: Pick<AppRecord, 'pid' | 'wakes'>,
): Partial<AppRecord> {
  return master === undefined || master === pid ? {} : { wakes: wakes + 1, changedAt: Date.now(), why: 'it boots' }
}

/** An app fails while its master answers in its place: it has no worker, and has said why. */
export function stateOf(master: number | undefined, workers: number[], { bootError }: AppRecord): Survey['state'] {
  if (master === undefined) return 'rests'
  return workers.length === 0 && bootError !== '' ? 'fails' : 'awake'
}

/** Of the workers that live: what those have served that are gone is on the board. */
function statsOf(master: number | undefined): WorkerStats[] {
  const slots = master === undefined ? [] : openSlots(master)
  const all = slots.map(slot => slot.read())
  for (const slot of slots) slot.unmap()
  return all
}

export function residentOf(pid: number): number {
  try {
    const [, kB = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kB) * 1024
  } catch {
    return 0 // gone meanwhile
  }
}
