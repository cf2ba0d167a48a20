/** Another user that an app's processes are to be: looked up while lookout is still itself, for names mean nothing to the kernel. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { Failure, Misuse } from './errors.js'
import { posix } from './posix.js'

export interface User {
  name: string
  uid: number
  gid: number
  /** All that it is in. */
  groups: number[]
  home: string
}

/**
 * @returns undefined where the processes are to be who we are
 * @throws Misuse where there is no such user or group, Failure where we may not become another
 */
export function userOf({ user, group }: { user?: string; group?: string }): User | undefined {
  if (user === undefined) {
    if (group !== undefined) throw new Misuse(`cannot use --group ${group}: it goes with --user`)
    return undefined
  }
  const [name = '', , uid, own, , home = ''] = entry('passwd', '--user', user)
  const gid = group === undefined ? own : entry('group', '--group', group)[2]
  const ids = { uid: Number(uid), gid: Number(gid) }
  if (process.getuid?.() !== 0) {
    if (ids.uid === process.getuid?.() && ids.gid === process.getgid?.()) return undefined
    throw new Failure(`cannot run as ${user}: root is needed to become another user`)
  }
  if (ids.uid === 0 && group === undefined) return undefined // root, and meant so
  const groups = execFileSync('id', ['-G', name], { encoding: 'utf8' }).trim().split(' ').map(Number)
  return { name, ...ids, groups: [...new Set([ids.gid, ...groups])], home }
}

/** The fields of a line of the user database. */
function entry(database: 'passwd' | 'group', option: string, key: string): string[] {
  try {
    if (key !== '' && !key.startsWith('-'))
      return execFileSync('getent', [database, key], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim()
        .split(':')
  } catch {
    // it is told below
  }
  throw new Misuse(`cannot use ${option} ${key}: there is no such ${database === 'passwd' ? 'user' : 'group'}`)
}

/** As the resting program has it. */
export function userWord(user: User | undefined): string {
  return user ? `${user.uid}:${user.gid}:${user.groups.join(',')}` : ''
}

/** What its processes see of it. Compiled code is kept in its own home: ours it may not read. */
export function userEnvironment(user: User | undefined): Record<string, string> {
  if (!user) return {}
  const { name, home, uid } = user
  const status = fs.statSync(home, { throwIfNoEntry: false })
  const isOwn = status?.isDirectory() && status.uid === uid && (status.mode & 0o022) === 0
  const cache = path.join(home, '.cache/lookout')
  return { HOME: home, USER: name, LOGNAME: name, ...(isOwn && { NODE_COMPILE_CACHE: cache, LOOKOUT_CACHE: cache }) }
}

/** This process becomes that user, for good. @throws Failure */
export function become({ uid, gid, groups }: User): void {
  process.setgroups!(groups)
  process.setgid!(gid)
  process.setuid!(uid)
  posix.prctl(posix.PR_SET_NO_NEW_PRIVS, 1)
  try {
    process.setuid!(0)
  } catch {
    return
  }
  if (uid !== 0) throw new Failure('cannot drop root: it could come back')
}

/** What is to be said to root, who has not said whom to run the app as. */
export function warning(options: { user?: string }): string | undefined {
  if (process.getuid?.() !== 0 || options.user !== undefined) return undefined
  return 'runs the app as root (--user NAME runs it as another, --user root says that this is meant)'
}
