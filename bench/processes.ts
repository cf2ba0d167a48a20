/** Processes of the bench's own: started, found and ended. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { childrenOf, isAlive, until } from '../dist/test/support/lookout.js'
import { ask } from './ask.ts'

export const HERE = import.meta.dirname

/** All that the bench writes: caches, pm2's and inetd's files. Gone with it. */
export const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-bench-'))

/** What every server's environment is; lookout's and Node's compile caches are the bench's own. */
export const ENV = { PATH: process.env.PATH!, HOME: scratch, XDG_CACHE_HOME: path.join(scratch, 'cache') }

export interface Server {
  port: number
  /** The name to ask for, where it is not that of the address. */
  host?: string
  /** The process that holds the socket. */
  pid: number
  /** Every process of it. */
  pids(): number[]
  stop(): Promise<void>
}

export const app = (name: string): string => path.join(HERE, 'apps', name)

/** A port that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })
}

const started = new Set<ChildProcess>()

/** The process and all below it, whichever of its threads they were forked by. */
export function family(pid: number): number[] {
  let threads: string[] = []
  try {
    threads = fs.readdirSync(`/proc/${pid}/task`)
  } catch {
    // it is gone
  }
  return [pid, ...threads.flatMap(thread => childrenOf(pid, Number(thread))).flatMap(family)]
}

export function run(
  port: number,
  file: string,
  args: string[],
  { env = {}, stderr = 'inherit' }: { env?: NodeJS.ProcessEnv; stderr?: 'inherit' | 'ignore' } = {},
): Server {
  const child = spawn(file, args, { env: { ...ENV, ...env }, stdio: ['ignore', 'ignore', stderr] })
  started.add(child)
  return { port, pid: child.pid!, pids: () => family(child.pid!), stop: () => end(child) }
}

/** TERM; KILL for who is there after a second: inetd leaves its children. */
async function end(child: ChildProcess): Promise<void> {
  const all = family(child.pid!)
  started.delete(child)
  child.kill('SIGTERM')
  await until('its end', () => !all.some(isAlive), 1000).catch(() => {
    for (const pid of all.filter(isAlive)) process.kill(pid, 'SIGKILL')
  })
}

/** What a measure that failed has left. */
export async function endAll(): Promise<void> {
  for (const child of started) await end(child)
}

/** Somebody listens there: connecting would wake it. */
export function listens(port: number): boolean {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`
  return fs.readFileSync('/proc/net/tcp', 'utf8').includes(address)
}

export async function answers(server: Server): Promise<Server> {
  await until(`an answer at port ${server.port}`, () => ask(server.port), 30_000)
  return server
}

/** The first line of what a program says of its version; undefined where there is no such program. */
export function versionOf(file: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(file, args, { encoding: 'utf8', env: ENV, stdio: ['ignore', 'pipe', 'ignore'] }).split(
      '\n',
      1,
    )[0]
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'installed'
  }
}
