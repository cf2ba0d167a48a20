/** Starts the resting program by itself, with an argument vector of the test's own and puppets for master and worker. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { makeBoard } from '../../lib/board.js'
import { posix, resting } from '../../lib/posix.js'
import { childrenOf, cleanups, type Ended, isAlive, MARK, ROOT, until } from '../support/lookout.js'

const tools = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-tools-'))
process.on('exit', () => fs.rmSync(tools, { recursive: true, force: true }))

/** ms for what takes an instant, but may take seconds under valgrind on a machine that is busy. */
const PATIENCE = 25_000

const board = makeBoard(1)

// What the tests themselves inherited is not for the processes they start.
for (const fd of fs.readdirSync('/proc/self/fd').map(Number)) {
  if (fd > 2 && fs.existsSync(`/proc/self/fd/${fd}`)) posix.cloexec(fd, 1)
}

/** Compiles a C file into a folder that is gone with this process. */
function compile(name: string, source: string, flags: string[] = []): string {
  const file = path.join(tools, name)
  if (!fs.existsSync(file)) {
    const options = ['-Wall', '-Wextra', '-D_GNU_SOURCE', ...flags, '-o', file]
    execFileSync('gcc', [...options, path.join(ROOT, source)], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return file
}

export const puppet = (): string => compile('puppet', 'test/native/puppet.c')

/** One way to run the resting program. */
export interface Build {
  name: string
  /** Called once a test needs it: what is to be started, the arguments come behind. */
  command(): string[]
}

export const asBuilt: Build = { name: 'as built', command: () => [resting] }

export const sanitized: Build = {
  name: 'with sanitizers',
  command: () => [
    compile('sanitized', 'native/lookout.c', ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']),
  ],
}

export const underValgrind: Build = {
  name: 'under valgrind',
  command: () => [
    tool('valgrind'),
    '-q',
    '--error-exitcode=99',
    '--leak-check=full',
    '--track-fds=no',
    '--trace-children=no',
    '--child-silent-after-fork=yes',
    compile('debug', 'native/lookout.c', ['-g', '-O1']),
  ],
}

/** Every test of what it does is of each of these. */
export const builds = [asBuilt, sanitized, underValgrind]

/** Runs it as built, under strace with these options, which is to leave its children alone unless told `-f`. */
export function underStrace(...options: string[]): Build {
  return { name: 'under strace', command: () => [tool('strace'), '-qq', ...options, resting] }
}

function tool(name: string): string {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return name
  } catch {
    throw new Error(`${name} is needed for this test: apt-get install ${name}`)
  }
}

export interface App {
  name?: string
  sockets?: number
  version?: string
  /** ms */
  grace?: number
  user?: string
  folder?: string
  env?: string[]
  /** What the puppets do: see puppet.c. */
  master: string[]
  worker?: string[]
}

export interface Options {
  ready?: string
  quiet?: boolean
  /** Descriptors to be found below the sockets, from 4 on; 3 is the board's. */
  below?: number[]
  /** Files that it is to remove at its end. */
  files?: string[]
  /** What stderr is, where the test does not want to read it. */
  stderr?: number
  env?: NodeJS.ProcessEnv
  /** A puppet's steps before the resting program: `adopt`. */
  before?: string[]
  /** What HUP runs: the steps of a puppet. */
  reload?: string[]
}

/** Serves one connection and rests; its worker waits to be killed. */
export const once: App = { master: ['serve', '0', 'exit', '0'] }

/** An end without complaint. */
export const FINE: Ended = { code: 0, signal: null }

/** The argument vector for these apps. */
export function argumentsOf(
  apps: App[],
  { ready = 'is ready', quiet = false, below = [], files = [], reload = [] }: Options = {},
): string[] {
  return [
    ready,
    quiet ? 1 : 0,
    4 + below.length,
    3,
    files.length,
    ...files,
    reload.length,
    ...reload,
    0,
    ...apps.flatMap(wordsOf),
  ].map(String)
}

function wordsOf({ name = 'one', version = '1', sockets = 1, grace = 30_000, ...rest }: App): (string | number)[] {
  const { user = '', folder = '', env = [], master, worker = ['hum'] } = rest
  const before = [name, version, sockets, grace, user, folder, env.length, ...env]
  const count = master.length + worker.length + 2
  return [...before, count, master.length + 1, puppet(), ...master, puppet(), ...worker]
}

/** A TCP socket that listens on a port of its own. */
export function listenTcp(): { fd: number; port: number } {
  const fd = posix.socket(posix.AF_INET)
  posix.bind(fd, posix.AF_INET, '127.0.0.1', 0)
  posix.listen(fd, 4096)
  return { fd, port: posix.getsockname(fd)[2] }
}

export function listenUnix(file: string): number {
  const fd = posix.socket(posix.AF_UNIX)
  posix.bind(fd, posix.AF_UNIX, file, 0)
  posix.listen(fd, 4096)
  return fd
}

/** A client of a puppet that serves: it is served until the client closes. */
export class Client {
  /** The pid of who serves it, once somebody does. */
  readonly served: Promise<number>
  readonly #socket: net.Socket

  constructor(to: number | string) {
    this.#socket = typeof to === 'number' ? net.connect(to, '127.0.0.1') : net.connect(to)
    this.served = new Promise((resolve, reject) => {
      this.#socket.setEncoding('utf8').once('data', text => resolve(Number(text)))
      this.#socket.once('error', reject)
      this.#socket.once('close', () => reject(new Error('the connection was closed unserved')))
    })
    this.served.catch(() => {}) // a test that wants it asks for it
    this.#socket.on('error', () => {})
    cleanups.push(() => this.close())
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** The resting program at work. */
export class Resting {
  stdout = ''
  stderr = ''
  readonly ended: Promise<Ended>
  #ended: Ended | undefined

  private constructor(
    readonly child: ChildProcess,
    readonly ports: (number | string)[],
  ) {
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
      this.signal('SIGQUIT')
      const timer = setTimeout(() => this.#kill(), 5000)
      await this.ended
      clearTimeout(timer)
    })
  }

  /** Starts it with this argument vector and these listening sockets, which are its alone afterwards. */
  static spawn(build: Build, args: string[], sockets: number[], options: Options = {}): Resting {
    const { NODE_V8_COVERAGE, ...inherited } = process.env
    const [mark, value] = MARK.split('=') as [string, string]
    const command = [...(options.before ? [puppet(), ...options.before, 'exec'] : []), ...build.command()]
    const ports = sockets.map(fd => {
      const [family, address, port] = posix.getsockname(fd)
      return family === posix.AF_UNIX ? address.replace(/\0.*/s, '') : port
    })
    const child = spawn(command[0]!, [...command.slice(1), ...args], {
      env: { ...inherited, ...options.env, [mark]: value },
      stdio: ['ignore', 'pipe', options.stderr ?? 'pipe', board, ...(options.below ?? []), ...sockets],
    })
    for (const fd of sockets) posix.close(fd)
    return new Resting(child, ports)
  }

  /** Starts it for these apps on TCP sockets of their own, or on those given, and waits until it is ready. */
  static async start(build: Build, apps: App[], options: Options & { sockets?: number[] } = {}): Promise<Resting> {
    const count = apps.reduce((sum, { sockets = 1 }) => sum + sockets, 0)
    const sockets = options.sockets ?? Array.from({ length: count }, () => listenTcp().fd)
    const lookout = Resting.spawn(build, argumentsOf(apps, options), sockets, options)
    if (options.stderr === undefined && options.ready !== '') await lookout.line(/: is ready$/)
    return lookout
  }

  /** Its own, also where it was strace who started it. */
  get pid(): number {
    return Number(/^lookout (\d+): /m.exec(this.stderr)?.[1] ?? this.child.pid)
  }

  /** With strace, where it was that who started it. */
  #kill(): void {
    const started = this.child.pid!
    for (const pid of [...childrenOf(started), started]) process.kill(pid, 'SIGKILL')
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended && isAlive(this.pid)) process.kill(this.pid, signal)
  }

  /** Somebody who connects to a socket, the first by default. */
  connect(socket = 0): Client {
    return new Client(this.ports[socket]!)
  }

  /** Waits for a line of its stderr, or for that many. */
  async line(pattern: RegExp, count = 1): Promise<void> {
    await this.#wait(`${pattern}, ${count} times`, () => this.count(pattern) >= count)
  }

  /** Waits until that many puppets have said that word on stdout: their pids. */
  async said(word: string, count = 1): Promise<number[]> {
    const pattern = new RegExp(`^${word} (\\d+)$`, 'gm')
    const pids = () => [...this.stdout.matchAll(pattern)].map(([, pid]) => Number(pid))
    await this.#wait(`${word}, ${count} times`, () => pids().length >= count)
    return pids()
  }

  async #wait(what: string, condition: () => boolean): Promise<void> {
    await until(what, () => condition() || this.#ended, PATIENCE).catch(() => {})
    if (!condition()) throw new Error(`it never said ${what}, but:\n${this.stderr}\n${this.stdout}`)
  }

  /** How many lines of its stderr match. */
  count(pattern: RegExp): number {
    return this.stderr.split('\n').filter(line => pattern.test(line)).length
  }

  /** Its end, by itself or by a signal. Nobody but itself has written on its stderr, no sanitizer either. */
  async end(signal?: NodeJS.Signals): Promise<Ended> {
    if (signal) this.signal(signal)
    const ended = await this.ended
    const strange = this.stderr.split('\n').filter(line => line !== '' && !/^lookout \d+: /.test(line))
    if (strange.length > 0) throw new Error(`on its stderr:\n${this.stderr}`)
    return ended
  }
}
