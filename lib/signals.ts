/**
 * Signals to lookout, as its master hears them. The resting program passes on what it got as bytes in a pipe, the lifeline: a
 * signal that came before there is a handler would kill the master. Where nothing of ours rests they come to the master itself.
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
  ['SIGHUP', Signal.HUP],
  ['SIGUSR1', Signal.USR1],
  ['SIGUSR2', Signal.USR2],
  ['SIGCONT', Signal.CONT],
  ['SIGTSTP', Signal.TSTP],
  ['SIGTTIN', Signal.TTIN],
  ['SIGTTOU', Signal.TTOU],
]

/** @param obey called with each; TERM and INT are the same */
export function hear(obey: (signal: Signal) => void): void {
  process.on('SIGTERM', () => obey(Signal.TERM))
  process.on('SIGINT', () => obey(Signal.TERM))
  process.on('SIGQUIT', () => process.exit(1)) // the kernel kills the workers with us
}

/** Those to the master itself, which has no lookout above it. */
export function hearAll(obey: (signal: Signal) => void): void {
  for (const [name, signal] of OWN) process.on(name, () => obey(signal))
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
