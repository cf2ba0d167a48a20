/** An app that a command names: by its name, by the pid of its lookout or of its master, or by a file with that pid. */
import fs from 'node:fs'
import { Board } from './board.js'
import { causeOf, Failure, Misuse } from './errors.js'
import { boardOf, handoffFile, type Instance, instanceOf, instances, mastersOf, openBoard } from './instances.js'
import type { FoundApp } from './plan.js'
import { posix } from './posix.js'
import { Signal } from './signals.js'

export interface Running {
  name: string
  board: Board
  /** Its master, which changes with each wake; undefined at rest. */
  master(): number | undefined
  /** Whether what holds its sockets is there. */
  lives(): boolean
  /** Has it woken, as a connection would. @returns false where that is not known how */
  wake(): boolean
  /** A signal to its master. @returns false where there is none that hears it */
  tell(signal: number): boolean
}

/**
 * @param verb what is to be done, for the message
 * @throws Misuse where there is no such app, or more than one
 */
export function find(verb: string, target: string, env: NodeJS.ProcessEnv): Running {
  const named = instances(env).flatMap(instance =>
    instance.apps.filter(({ config }) => config.name === target).map(app => held(instance, app, env)),
  )
  if (named.length > 1) throw new Misuse(`cannot ${verb} ${target}: there are ${named.length} of that name`)
  return named[0] ?? byPid(verb, target, env)
}

function byPid(verb: string, target: string, env: NodeJS.ProcessEnv): Running {
  const pid = Number(/^\d+$/.test(target) ? target : readPid(verb, target))
  const instance = instanceOf(pid)
  if (instance) {
    const [app, ...others] = instance.apps
    if (others.length === 0) return held(instance, app!, env)
    throw new Misuse(`cannot ${verb} ${target}: it holds ${instance.apps.length} apps, one is to be named`)
  }
  const master = ofAnother(verb, pid)
  if (master) return master
  throw new Misuse(`cannot ${verb} ${target}: there is no lookout with pid ${pid}`)
}

function readPid(verb: string, file: string): string {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8').trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const known = 'it is the name of no app that is held, no pid, and no file that can be read'
    throw new Misuse(`cannot ${verb} ${file}: ${known} (${code})`)
  }
  if (!/^\d{1,7}$/.test(text)) throw new Misuse(`cannot ${verb} ${file}: there is no pid in it`)
  return text
}

function held(instance: Instance, app: FoundApp, env: NodeJS.ProcessEnv): Running {
  const { name } = app.config
  const master = () => mastersOf(instance).get(name)
  return {
    name,
    board: boardOf(instance, app),
    master,
    lives: () => posix.pidfdKill(instance.pidfd, 0),
    wake: () => app.handoff && knock(handoffFile(env, name, instance.pid)),
    tell(signal) {
      const pid = master()
      return pid !== undefined && tell(pid, signal)
    },
  }
}

/** A connection that brings nothing, to where an app is handed some. @returns false where it cannot be */
export function knock(file: string | undefined): boolean {
  if (file === undefined) return false
  const fd = posix.socket(posix.AF_UNIX)
  try {
    posix.connect(fd, posix.AF_UNIX, file, 0)
    return true
  } catch (error) {
    return causeOf(error) === 'EAGAIN' // so many wait that it is awake, or about to be
  } finally {
    posix.close(fd)
  }
}

/** A master whose sockets were given to it: nothing of ours holds them. */
function ofAnother(verb: string, pid: number): Running | undefined {
  if (!hears(pid)) return undefined
  try {
    const [pidfd, fd] = [posix.pidfdOpen(pid), openBoard(pid)]
    if (fd === undefined) return undefined
    const lives = () => posix.pidfdKill(pidfd, 0)
    return {
      name: `${pid}`,
      board: new Board(fd),
      master: () => (lives() ? pid : undefined),
      lives: () => true, // who holds the sockets starts another
      wake: () => false,
      tell: signal => posix.pidfdKill(pidfd, signal),
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') throw new Failure(`cannot ${verb} ${pid}: it is another user's`)
    return undefined
  }
}

/** By a pidfd: it is the process that we looked at, or none. */
export function tell(pid: number, signal: number): boolean {
  let pidfd: number
  try {
    pidfd = posix.pidfdOpen(pid)
  } catch {
    return false
  }
  try {
    return hears(pid) && posix.pidfdKill(pidfd, signal)
  } finally {
    posix.close(pidfd)
  }
}

/** Whether it is a master that has its handlers: before, it would die of a signal. */
function hears(pid: number): boolean {
  try {
    if (!fs.readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('lookout master')) return false
    const [, caught = '0'] = /^SigCgt:\s*(\w+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return ((BigInt(`0x${caught}`) >> BigInt(Signal.USR2 - 1)) & 1n) === 1n
  } catch {
    return false // gone
  }
}
