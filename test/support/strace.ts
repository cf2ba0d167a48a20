/** strace on processes that run already: what they call, and calls of theirs that are made to fail. */
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { cleanups, MARK, temporaryFolder, until } from './lookout.js'

/** Why nobody can be traced here; undefined where one can. */
export function cannotTrace(): string | undefined {
  try {
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' })
  } catch {
    return 'strace is needed'
  }
  const yama = '/proc/sys/kernel/yama/ptrace_scope'
  const isOpen = !fs.existsSync(yama) || fs.readFileSync(yama, 'utf8').trim() === '0'
  return isOpen || process.getuid?.() === 0 ? undefined : 'root is needed, to trace what runs'
}

export interface Trace {
  /** Lines so far, each with the pid that called. */
  lines(): string[]
  /** Those who are traced go on as ever. */
  detach(): Promise<void>
}

/** Traces a process, all threads of it and whatever it starts, until the test ends. */
export async function trace(pid: number, ...options: string[]): Promise<Trace> {
  const log = path.join(temporaryFolder(), 'trace')
  const [name, value] = MARK.split('=') as [string, string]
  const strace = spawn('strace', ['-f', '-p', `${pid}`, '-o', log, ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, [name]: value },
  })
  let said = ''
  strace.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const ended = new Promise<void>(resolve => strace.on('close', () => resolve()))
  const detach = async () => {
    strace.kill('SIGTERM')
    await ended
  }
  cleanups.push(detach)
  await until(`strace on ${pid}`, () => new RegExp(`Process ${pid} attached`).test(said)).catch(error => {
    throw new Error(`${error.message}; it said:\n${said}`)
  })
  return { lines: () => fs.readFileSync(log, 'utf8').split('\n').filter(Boolean), detach }
}

/** From now on these calls fail: "pipe2:error=EMFILE". */
export function inject(pid: number, fault: string): Promise<Trace> {
  return trace(pid, '-e', `trace=${fault.replace(/:.*/, '')}`, '-e', `inject=${fault}`)
}
