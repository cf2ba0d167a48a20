/** Apps that are awake, with all the workers that they want. */
import { request } from './client.js'
import { Lookout, type StartOptions, until } from './lookout.js'

/** Awake, with that many workers ready. */
export async function awake(workers: number, args: string[], options?: StartOptions): Promise<Lookout> {
  const lookout = await Lookout.start(['-w', `${workers}`, ...args], options)
  await request(lookout.url)
  await readied(lookout, workers)
  return lookout
}

/** Waits until so many workers have become ready since the start. */
export async function readied(lookout: Lookout, count: number, deadline?: number): Promise<void> {
  const ready = () => lookout.count(/worker \d+ pid \d+ ready/) >= count
  await until(`${count} workers ready`, ready, deadline).catch(error => {
    throw new Error(`${error.message}; it said:\n${lookout.stderr}`)
  })
}

/** Has a worker of plain.js loop for ever: its pid. */
export async function spin(lookout: Lookout): Promise<number> {
  const pid = Number((await request(lookout.url, '/spin')).body)
  if (!lookout.workers.includes(pid)) throw new Error(`${pid} is no worker`)
  return pid
}
