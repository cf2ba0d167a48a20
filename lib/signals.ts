/**
 * Signals, as a master hears them. The resting program passes on what it got as bytes in a pipe, the lifeline: a signal that came
 * before there is a handler would kill the master. HUP there says that another master takes its place.
 */
import fs from 'node:fs'
import { Control, posix } from './posix.js'

/** By the numbers that go through the lifeline: alike on every Linux but MIPS. */
export const enum Signal {
  HUP = 1,
  USR1 = 10,
  USR2 = 12,
  TERM = 15,
  CONT = 18,
  TSTP = 20,
  TTIN = 21,
  TTOU = 22,
}

const OWN: [NodeJS.Signals, Signal][] = [
  ['SIGTERM', Signal.TERM],
  ['SIGINT', Signal.TERM],
  ['SIGHUP', Signal.USR2],
  ['SIGUSR1', Signal.USR1],
  ['SIGUSR2', Signal.USR2],
  ['SIGCONT', Signal.CONT],
  ['SIGTSTP', Signal.TSTP],
  ['SIGTTIN', Signal.TTIN],
  ['SIGTTOU', Signal.TTOU],
]

/** Signals to the master itself. */
export function hear(obey: (signal: Signal) => void): void {
  for (const [name, signal] of OWN) process.on(name, () => obey(signal))
  process.on('SIGQUIT', () => process.exit(1)) // the kernel kills the workers with us
}

/** @param gone called at the end of file: lookout has died */
export function hold(lifeline: number, obey: (signal: Signal) => void, gone: () => void): void {
  posix.cloexec(lifeline, 1)
  const watch = posix.poll(lifeline, () => {
    const bytes = Buffer.alloc(64)
    const count = fs.readSync(lifeline, bytes)
    for (const signal of bytes.subarray(0, count)) obey(signal)
    if (count > 0) return
    posix.control(watch, Control.close)
    gone()
  })
  posix.control(watch, Control.start)
}
