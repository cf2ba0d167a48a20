/** Starts the real binary on sockets of the test's own, and ends it: black-box tests are written with this. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export const ROOT = path.join(__dirname, '../../..')
export const FIXTURES = path.join(ROOT, 'test/fixtures')
export const BIN = path.join(ROOT, 'bin/lookout')

/** Every process that a test starts carries it in its environment, and so do theirs: see hooks.ts. */
export const MARK = `LOOKOUT_TESTS_RUN=${randomUUID()}`

/** Those that tests start are known there alone. */
const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-run-'))
process.on('exit', () => fs.rmSync(runtime, { recursive: true, force: true }))

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
}

/**
 * The value of `condition` once it is truthy; it is asked every few ms, and an error it throws counts as not yet.
 * @throws after `deadline` ms, with `what` and the last error
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadline = 10_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadline
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (Date.now() > end)
      throw new Error(`not within ${deadline} ms: ${what}${last ? ` (${(last as Error).message})` : ''}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** A folder of the test's own, removed after it. */
export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-test-'))
  cleanups.push(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Undone after the test, the latest first. */
export const cleanups: (() => void | Promise<void>)[] = []

export interface StartOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** How it is started instead of by node: ["valgrind", ...] */
  under?: string[]
  /** Another node than the one that runs the tests. */
  node?: string
  /** Another lookout than that of the tests. */
  bin?: string
}

export class Lookout {
  stdout = ''
  stderr = ''
  readonly ended: Promise<Ended>
  #ended: Ended | undefined

  private constructor(readonly child: ChildProcess) {
    child.stdout?.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ended = new Promise(resolve =>
      child.on('close', (code, signal) => {
        this.#ended = { code, signal }
        resolve(this.#ended)
      }),
    )
    cleanups.push(async () => {
      if (!this.#ended) this.signal('SIGQUIT')
      await this.ended
    })
  }

  /** Starts it with these arguments and does not wait. */
  static spawn(
    args: string[],
    { env = {}, cwd, under = [], node = process.execPath, bin = BIN }: StartOptions = {},
  ): Lookout {
    const [name, value] = MARK.split('=') as [string, string]
    const [file, ...rest] = [...under, node, bin, ...args] as [string, ...string[]]
    const { NODE_V8_COVERAGE, NODE_ENV, ...inherited } = process.env
    // Coverage is taken where c8 asked for it.
    const coverage = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }
    return new Lookout(
      spawn(file, rest, {
        cwd,
        env: { ...inherited, XDG_RUNTIME_DIR: runtime, ...coverage, ...env, [name]: value },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
  }

  /** Starts it and waits until it rests. `-l localhost:0` is added where no address is given. */
  static async start(args: string[], options?: StartOptions): Promise<Lookout> {
    const listens = args.some(arg => /^(-l|--listen)/.test(arg))
    const lookout = Lookout.spawn([...(listens ? [] : ['-l', 'localhost:0']), ...args], options)
    await lookout.line(/^lookout \d+: .* rests at .*\n/m)
    return lookout
  }

  get pid(): number {
    return this.child.pid!
  }

  /** The addresses of the ready line, in order: http://localhost:1234, unix:/path. */
  get addresses(): string[] {
    return /^lookout \d+: .* rests at (.*)$/m.exec(this.stderr)?.[1]?.split(', ') ?? []
  }

  get url(): string {
    return this.addresses[0]!
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.child.kill(signal)
  }

  /** Waits for a line of its stderr. */
  line(pattern: RegExp, deadline?: number): Promise<RegExpExecArray> {
    const what = () => `${pattern} in its stderr`
    return until(what(), () => this.#check(pattern), deadline).catch(error => {
      throw new Error(`${error.message}; it said:\n${this.stderr}`)
    })
  }

  #check(pattern: RegExp): RegExpExecArray | null {
    return pattern.exec(this.stderr)
  }

  /** How many lines of its stderr match. */
  count(pattern: RegExp): number {
    return this.stderr.split('\n').filter(line => pattern.test(line)).length
  }

  /** The pid of the master that lives now, by /proc. */
  get master(): number | undefined {
    return childrenOf(this.pid)[0]
  }

  /** The pids of the workers that live now, by /proc. */
  get workers(): number[] {
    return this.master === undefined ? [] : childrenOf(this.master)
  }

  /** Waits until nothing but the resting process is left. */
  async rests(deadline?: number): Promise<void> {
    await until('at rest', () => this.master === undefined, deadline).catch(error => {
      throw new Error(`${error.message}; it said:\n${this.stderr}`)
    })
  }

  /** TERM, and its end. */
  async stop(): Promise<Ended> {
    this.signal('SIGTERM')
    return this.ended
  }
}

/** The children that a process's main thread, or another, has forked, zombies left out. */
export function childrenOf(pid: number, thread = pid): number[] {
  try {
    return fs
      .readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
      .filter(isAlive)
  } catch {
    return []
  }
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

export function fixture(name: string): string {
  return path.join(FIXTURES, name)
}
