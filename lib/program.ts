/**
 * Runs a program that is none of Node's, but takes its listening sockets as systemd gives them (LISTEN_FDS): the main module of a
 * worker, whose only child it is. The app is awake while a client is connected to it, which the kernel tells; a program that
 * ends by itself, with 0, is idle, and is started again by the next connection.
 */
import fs from 'node:fs'
import path from 'node:path'
import { now } from './clock.js'
import { counterOf } from './kernel.js'
import { type Membership, membership } from './membership.js'
import { Control, posix, type Watch } from './posix.js'
import { Signal } from './signals.js'
import { ITS_PID } from './spawn.js'

/** ms between two counts of the connections. */
const COUNT = 100

/** ms that a program has to show that it serves. */
const SOON = 1000

/** ms that clients have at the end, before the program hears of it. */
const PATIENCE = 5000

class Program {
  #child: { pidfd: number; watch: Watch; startedAt: number } | undefined
  #isEnding = false
  readonly #doors: Watch[]
  readonly #count: () => number

  constructor(
    private readonly command: string[],
    private readonly worker: Membership,
  ) {
    this.#count = counterOf(worker.sockets)
    this.#doors = worker.sockets.map(fd => posix.poll(fd, () => this.#start()))
  }

  run(): void {
    process.on('SIGTERM', () => this.#end())
    this.#start()
    setTimeout(() => this.worker.ready(), SOON) // one that ends before, other than well, has failed to start
    let release: (() => void) | undefined
    setInterval(() => {
      const clients = this.#count()
      if (clients > 0) release ??= this.worker.hold('clients are connected')
      else {
        release?.()
        release = undefined
      }
    }, COUNT).unref()
  }

  #start(): void {
    if (this.#child || this.#isEnding) return
    for (const door of this.#doors) posix.control(door, Control.stop)
    const { sockets } = this.worker
    const own = {
      LISTEN_FDS: `${sockets.length}`,
      LISTEN_PID: ITS_PID,
      LISTEN_FDNAMES: sockets.map(() => 'lookout').join(':'),
    }
    const env = Object.entries({ ...process.env, ...own }).map(([name, value]) => `${name}=${value}`)
    const pid = posix.spawn(found(this.command[0]!), this.command, env, [0, 1, 2, ...sockets], 0)
    const pidfd = posix.pidfdOpen(pid)
    const watch = posix.poll(pidfd, () => this.#reap())
    posix.control(watch, Control.start)
    this.#child = { pidfd, watch, startedAt: now() }
  }

  #reap(): void {
    const { pidfd, watch, startedAt } = this.#child!
    const status = posix.pidfdReap(pidfd)
    if (status === undefined) return
    posix.control(watch, Control.close)
    posix.close(pidfd)
    this.#child = undefined
    if (this.#isEnding || !this.#hasSockets()) process.exit(Math.max(0, status))
    const waits = this.worker.sockets.some(fd => posix.readable(fd) > 0)
    if (status !== 0 || (waits && now() - startedAt < SOON)) process.exit(status > 0 ? status : 1)
    for (const door of this.#doors) posix.control(door, Control.start)
  }

  /** They are closed when the worker is told to stop. */
  #hasSockets(): boolean {
    try {
      for (const fd of this.worker.sockets) posix.getsockname(fd)
      return true
    } catch {
      return false
    }
  }

  /** Who is connected may be about to be served: the program is told once nobody is, or it has had its time. */
  #end(since = now()): void {
    this.#isEnding = true
    if (!this.#child) process.exit(0)
    if (this.#count() > 0 && now() - since < PATIENCE) setTimeout(() => this.#end(since), COUNT)
    else posix.pidfdKill(this.#child.pidfd, Signal.TERM)
  }
}

/** As a shell finds it. @throws Error where it is not there */
function found(name: string): string {
  const folders = name.includes('/') ? [''] : (process.env.PATH ?? '').split(':')
  const file = folders.map(folder => path.resolve(folder, name)).find(isProgram)
  if (file === undefined) throw new Error(`cannot run ${name}: it is not there, or is no program`)
  return file
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

const command: string[] = JSON.parse(process.env.LOOKOUT_COMMAND ?? '[]')
delete process.env.LOOKOUT_COMMAND
new Program(command, membership()!).run()
