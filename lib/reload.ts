/**
 * The child that thinks out what a resting program becomes on HUP: it finds the sockets, locks and the board where its parent has
 * them, and sends back what the next body is to have. The other side is native/reload.h.
 */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from './clock.js'
import { Failure } from './errors.js'
import { planOf } from './instances.js'
import { type Found, type FoundApp, nextArgv, type Plan } from './plan.js'
import { posix, resting } from './posix.js'

/** Descriptors in a message, and what says that it was the last. */
const A_MESSAGE = 250
const DONE = -1

/** ms that an exec may take. */
const EXEC = 1000

export interface Held extends Found {
  /** Of the parent, whom we think for. */
  pid: number
  /** Our end of the pair. */
  channel: number
  /** Descriptors that are kept for their locks, by file. */
  locks: Map<string, number>
}

/** @returns undefined where this process was not started for that */
export function held(env: NodeJS.ProcessEnv): Held | undefined {
  if (env.LOOKOUT_RELOAD === undefined) return undefined
  const pid = process.ppid
  const found = planOf(pid)
  if (!found) throw new Failure(`cannot reload ${pid}: it is no lookout of this release`)
  const locks = new Map<string, number>()
  for (let fd = 3; fd < found.first; fd++) {
    if (fd !== found.board) locks.set(fs.readlinkSync(`/proc/self/fd/${fd}`), fd)
  }
  return { ...found, pid, channel: Number(env.LOOKOUT_RELOAD), locks }
}

/** The sockets of an app that is there, by address. */
export function socketsOf({ first }: Held, { at, groups }: FoundApp): number[][] {
  let next = first + at
  return groups.map(count => Array.from({ length: count }, () => next++))
}

/** The one on which an app is handed connections. */
export function handoffOf({ first }: Held, { at, groups, handoff }: FoundApp): number | undefined {
  return handoff ? first + at + groups.reduce((sum, count) => sum + count, 0) : undefined
}

/** As native/reload.h reads it. */
function send(channel: number, data: number, fds: number[]): void {
  posix.send(channel, Buffer.from(Int32Array.of(data).buffer), fds)
}

/** What an address is known by: any free port is another for each app. */
export function keyOf(app: string, address: string): string {
  return /(^|:)0$/.test(address) ? `${app} ${address}` : address
}

/** The sockets of every address that is held. */
export function addressesHeld(held: Held): Map<string, number[]> {
  const pairs = held.apps.flatMap(app => {
    const sockets = socketsOf(held, app)
    return (app.config.listen ?? []).map(
      (address, index) => [keyOf(app.config.name, address), sockets[index]!] as const,
    )
  })
  return new Map(pairs)
}

/**
 * Sends the next body what it is to be, and waits until it is; `fds` become 3 and up.
 * @throws the system's error, or Failure: then nothing has changed
 */
export async function handOver({ channel, pid }: Held, plan: Plan, fds: number[]): Promise<void> {
  const { argv, live } = nextArgv(plan)
  const words = [resting, ...argv]
  const memfd = posix.memfd('lookout-words', Buffer.byteLength(words.join('\0')) + 1)
  fs.writeSync(memfd, `${words.join('\0')}\0`, 0)
  const all = [memfd, ...fds]
  for (let at = 0; at < all.length; at += A_MESSAGE) send(channel, live + 1, all.slice(at, at + A_MESSAGE))
  send(channel, DONE, [])
  fs.readSync(channel, Buffer.alloc(1)) // the end of file: our parent is another, or has given up
  const versions = (apps: { version: string }[] = []) => apps.map(({ version }) => version).join()
  // In the middle of an exec a process has no argv to be read.
  for (const end = now() + EXEC; versions(planOf(pid)?.apps) !== versions(plan.apps); await sleep(1)) {
    if (now() > end) throw new Failure(`cannot reload ${pid}: it could not take over`)
  }
}
