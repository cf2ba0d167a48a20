/** The files that an app is made of, and whether one has changed. Cheap: nothing is watched, files are looked at when asked. */
import fs from 'node:fs'

/** "file:///a/b.mjs:3" and "(/a/b.js:3:5)" in a stack: the file of a syntax error is never loaded. */
const IN_STACK = /(?:file:\/\/)?(\/[^\s:()]+\.[cm]?[jt]sx?):\d+/g

export function filesIn(stack: string): string[] {
  return [...stack.matchAll(IN_STACK)].map(match => match[1]!)
}

function stamp(file: string): string {
  const status = fs.statSync(file, { throwIfNoEntry: false })
  return status ? `${status.mtimeMs} ${status.size} ${status.ino}` : ''
}

export class Changes {
  readonly #stamps = new Map<string, string>()

  /** Remembers how a file is now. */
  note(files: Iterable<string>): void {
    for (const file of files) this.#stamps.set(file, stamp(file))
  }

  /** Whether a file differs from what was noted. */
  any(): boolean {
    for (const [file, before] of this.#stamps) if (stamp(file) !== before) return true
    return false
  }
}
