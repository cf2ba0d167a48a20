/** `lookout restart`: has the workers of a lookout replaced one by one, waits, and says how it went. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Board } from '../board.js'
import { Failure, Misuse } from '../errors.js'
import { posix } from '../posix.js'

const SIGUSR2 = 12

/** ms between two looks at the board. */
const LOOK = 20

/** A lookout that runs: its pid, held so that no other process gets it, and its board. */
interface Running {
  pid: number
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
  const board = openBoard(pid)
  if (board === undefined) throw stranger
  return { pid, pidfd, board }
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

/** The board is kept open by the resting program for as long as that lives. */
function openBoard(pid: number): Board | undefined {
  const folder = `/proc/${pid}/fd`
  try {
    if (fs.readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'lookout\n') return undefined
    const fd = fs.readdirSync(folder).find(name => fs.readlinkSync(`${folder}/${name}`) === '/memfd:lookout (deleted)')
    return fd === undefined ? undefined : new Board(fs.openSync(`${folder}/${fd}`, 'r+'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') throw new Failure(`cannot restart ${pid}: it is another user's`)
    return undefined
  }
}

/** '' at rest. */
function masterOf(pid: number): string {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
}

/** @throws Misuse, or Failure with what went wrong: the app then serves as before */
export async function run(args: string[]): Promise<void> {
  const [target, ...more] = args
  if (target === undefined || more.length > 0 || target.startsWith('-')) {
    throw new Misuse('usage: lookout restart PID|PIDFILE')
  }
  const { pid, pidfd, board } = find(target)
  const { restartsBegun } = board.read()
  const master = masterOf(pid)
  posix.pidfdKill(pidfd, SIGUSR2)
  for (;;) {
    if (!posix.pidfdKill(pidfd, 0)) throw new Failure(`cannot restart ${target}: it has ended`)
    const { restartsEnded, restartFailed, restart } = board.read()
    // One that had begun before may have loaded the old code.
    if (restartsEnded > restartsBegun) {
      if (restartFailed) throw new Failure(`cannot restart ${target}: ${restart}`)
      return console.log(restart)
    }
    // Another master than the one that was told has loaded the app since.
    if (master === '' || masterOf(pid) !== master) return console.log('it rests: the next connection loads it anew')
    await sleep(LOOK)
  }
}
