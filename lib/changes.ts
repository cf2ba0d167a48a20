/** The files that an app is made of, and whether one has changed. Cheap: nothing is watched, files are looked at when asked. */
import fs from 'node:fs'
import path from 'node:path'

/** "file:///a/b.mjs:3" and "(/a/b.js:3:5)" in a stack: the file of a syntax error is never loaded. */
const IN_STACK = /(?:file:\/\/)?(\/[^\s:()]+\.[cm]?[jt]sx?):(\d+)/g

export function filesIn(stack: string): string[] {
  return [...stack.matchAll(IN_STACK)].map(match => match[1]!)
}

/** Where in an app's own files it came about, as app.js:3, seen from the folder; '' where that is not told. */
export function placeIn(stack: string, folder: string): string {
  const own = [...stack.matchAll(IN_STACK)].find(([, file = '']) => !file.includes('/node_modules/'))
  if (!own) return ''
  const below = path.relative(folder, own[1]!)
  return `${below.startsWith('..') ? own[1] : below}:${own[2]}`
}

function stamp(file: string): string {
  try {
    const { mtimeMs, size, ino } = fs.statSync(file)
    return `${mtimeMs} ${size} ${ino}`
  } catch {
    return '' // not there, not to be looked at, or no path: an app says which it has loaded
  }
}

export class Changes {
  readonly #stamps = new Map<string, string>()

  /** Remembers how files are now, and their folders: what is missing may be about to be made there. */
  note(files: Iterable<string>): void {
    for (const file of files) {
      for (const noted of [file, path.dirname(file)]) this.#stamps.set(noted, stamp(noted))
    }
  }

  /** Remembers how all of them are now: a try that has failed was of these, and may have written beside them. */
  renew(): void {
    for (const file of this.#stamps.keys()) this.#stamps.set(file, stamp(file))
  }

  /** Whether a file differs from what was noted. */
  any(): boolean {
    for (const [file, before] of this.#stamps) if (stamp(file) !== before) return true
    return false
  }
}
