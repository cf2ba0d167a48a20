/** `lookout restart`: has the workers of a lookout replaced one by one, waits, and says how it went. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Board } from '../board.js'
import { Failure, Misuse } from '../errors.js'
import { posix } from '../posix.js'

const SIGUSR2 = 12

const USAGE = 'Usage: lookout restart PID|PIDFILE'

const HELP = `Replaces the workers of a running lookout one by one by such that have loaded the app anew, and waits for that.
No request fails for it. Exits with 1, and the reason, where a new worker does not come to listen: the others then
serve as before.`

const RESTS = 'it rests: the next connection loads it anew'

/** ms between two looks at the board. */
const LOOK = 20

/** A lookout that runs: its pid, held so that no other process gets it, and its board. */
interface Running {
  pid: number
  /** Whether it is a resting program; else the master itself, whose sockets another holds. */
  rests: boolean
  pidfd: number
  board: Board
}

/**
 * @param target a pid, or a file that holds it
 * @throws Misuse where that is no lookout
 */
function find(target: string): Running {
  const pid = Number(/^\d+$/.test(target) ? target : readPid(target))
  const stranger = new Misuse(`cannot restart ${target}: there is no lookout with pid ${pid}`)
  let pidfd: number
  try {
    pidfd = posix.pidfdOpen(pid)
  } catch {
    throw stranger
  }
  const rests = nameOf(pid) === 'lookout'
  const board = rests || isOwnMaster(pid) ? openBoard(pid) : undefined
  if (board === undefined) throw stranger
  return { pid, rests, pidfd, board }
}

function readPid(file: string): string {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Misuse(
      `cannot restart ${file}: it is no pid, and no file that can be read (${(error as NodeJS.ErrnoException).code})`,
    )
  }
  if (!/^\d{1,7}$/.test(text)) throw new Misuse(`cannot restart ${file}: there is no pid in it`)
  return text
}

/** A process's short name; '' of one that is gone. */
function nameOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

/** A master that hears signals itself: any other would die of ours. */
function isOwnMaster(pid: number): boolean {
  if (!nameOf(pid).startsWith('lookout master')) return false
  const [, caught = '0'] = /^SigCgt:\s*(\w+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return ((BigInt(`0x${caught}`) >> BigInt(SIGUSR2 - 1)) & 1n) === 1n
}

/** The board is kept open by it for as long as it lives. */
function openBoard(pid: number): Board | undefined {
  const folder = `/proc/${pid}/fd`
  try {
    const fd = fs.readdirSync(folder).find(name => fs.readlinkSync(`${folder}/${name}`) === '/memfd:lookout (deleted)')
    return fd === undefined ? undefined : new Board(fs.openSync(`${folder}/${fd}`, 'r+'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') throw new Failure(`cannot restart ${pid}: it is another user's`)
    return undefined
  }
}

/** '' at rest. */
function masterOf({ pid, rests }: Running): string {
  if (!rests) return `${pid}`
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
}

/** @throws Misuse, or Failure with what went wrong: the app then serves as before */
export async function run(args: string[]): Promise<void> {
  const [target, ...more] = args
  if (target === '--help') return console.log(`${USAGE}\n\n${HELP}`)
  if (target === undefined || more.length > 0 || target.startsWith('-')) throw new Misuse(USAGE.toLowerCase())
  const running = find(target)
  const { pidfd, board } = running
  const { restartsBegun } = board.read()
  const master = masterOf(running)
  posix.pidfdKill(pidfd, SIGUSR2)
  for (;;) {
    const lives = posix.pidfdKill(pidfd, 0)
    if (!lives && running.rests) throw new Failure(`cannot restart ${target}: it has ended`)
    const { restartsEnded, restartFailed, restart } = board.read()
    // One that had begun before may have loaded the old code.
    if (restartsEnded > restartsBegun) {
      if (restartFailed) throw new Failure(`cannot restart ${target}: ${restart}`)
      return console.log(restart)
    }
    // Another master than the one that was told has loaded the app since.
    if (!lives || master === '' || masterOf(running) !== master) return console.log(RESTS)
    await sleep(LOOK)
  }
}
