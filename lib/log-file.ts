/** A file of its own for what an app's processes say: all of them append to it, in place of lookout's standard output and error. */
import fs from 'node:fs'
import path from 'node:path'
import { causeOf, Failure } from './errors.js'
import { say } from './log.js'
import { posix } from './posix.js'
import type { User } from './user.js'

/** Bytes of a log that is put away when its app rests. */
const LONG = 10 * 2 ** 20

/** @param given a file, or a folder that is there, in which it is called as the app is */
export function logFileOf(given: string, name: string): string {
  const isFolder = fs.statSync(given, { throwIfNoEntry: false })?.isDirectory()
  return isFolder ? path.join(given, `${name}.log`) : given
}

/**
 * Makes it, where it is not there, that user's.
 * @throws Failure where nothing could be written to it
 */
export function checkLog(file: string, user?: User): void {
  try {
    const isThere = fs.existsSync(file)
    const { O_APPEND, O_WRONLY, O_CREAT, O_EXCL } = fs.constants
    const fd = fs.openSync(file, O_APPEND | O_WRONLY | (isThere ? 0 : O_CREAT | O_EXCL), 0o644)
    if (user && !isThere) fs.fchownSync(fd, user.uid, user.gid)
    fs.closeSync(fd)
  } catch (error) {
    throw new Failure(`cannot write ${file}: ${causeOf(error)}`)
  }
}

/** From now on what this process says, and what its children do, is in the file; where it cannot be, it stays where it was. */
export function divert(file: string): void {
  try {
    const fd = fs.openSync(file, 'a')
    for (const standard of [1, 2]) posix.dup2(fd, standard)
    fs.closeSync(fd)
  } catch (error) {
    say(`process ${process.pid}`, `cannot write ${file}: ${causeOf(error)}`, 'error')
  }
}

/**
 * A full disk does not end the app: Node would, with an 'error' that nobody hears. What is said meanwhile is lost, and only
 * that. The streams are made no sooner than the app asks for them.
 */
export function endure(): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const property = Object.getOwnPropertyDescriptor(process, name)!
    let stream: NodeJS.WriteStream | undefined
    const get = () => {
      if (stream) return stream
      stream = property.get!.call(process) as NodeJS.WriteStream
      const fd = name === 'stdout' ? 1 : 2
      stream._write = (chunk, _encoding, done) => {
        try {
          for (let rest: Buffer = Buffer.from(chunk); rest.length > 0; ) rest = rest.subarray(fs.writeSync(fd, rest))
        } catch {
          // There is nobody to tell: this is where it would be said.
        }
        done()
      }
      return stream
    }
    Object.defineProperty(process, name, { ...property, get })
  }
}

/** Nobody writes to it now: a long one becomes FILE.1, and the next begins anew. */
export function putAway(file: string): void {
  try {
    if (fs.statSync(file).size > LONG) fs.renameSync(file, `${file}.1`)
  } catch {
    // It is gone, or its folder is not ours to write to: it grows on.
  }
}
