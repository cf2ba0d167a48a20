/** Who may run an app as a service: anybody, or only who owns it. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { Misuse } from './errors.js'

/** Of a mode: others may read a file, or go through a folder. */
const READ = 0o004
const GO = 0o001

/** The first of a path's parts that is closed to others. */
function closed(file: string): string | undefined {
  const real = fs.realpathSync(file)
  if ((fs.statSync(real).mode & READ) === 0) return real
  for (let folder = path.dirname(real); ; folder = path.dirname(folder)) {
    if ((fs.statSync(folder).mode & GO) === 0) return folder
    if (folder === '/') return undefined
  }
}

/**
 * Who a service has to run as to read these files; nothing where any user can.
 * @throws Misuse where that would be root
 */
export function runsAs(files: string[]): { runAs?: string } {
  for (const file of files) {
    const part = closed(file)
    if (part === undefined) continue
    const { uid } = fs.statSync(part)
    if (uid !== 0) return { runAs: userName(uid) }
    throw new Misuse(
      `cannot make a unit for ${file}: only root may enter ${part}, and an app is not run as root; move it, or let others read it`,
    )
  }
  return {}
}

function userName(uid: number): string {
  try {
    return execFileSync('id', ['-nu', `${uid}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return `${uid}`
  }
}
