/**
 * Where compiled code is kept: $XDG_CACHE_HOME/lookout, or ~/.cache/lookout; of a service, in its $CACHE_DIRECTORY. Ours alone,
 * for it is run.
 */
import fs from 'node:fs'
import path from 'node:path'

/** @returns undefined where there is no such folder, it cannot be made, or others may write to it */
export function cacheFolder(env: NodeJS.ProcessEnv): string | undefined {
  const base = env.CACHE_DIRECTORY?.split(':')[0] || env.XDG_CACHE_HOME || (env.HOME && path.join(env.HOME, '.cache'))
  if (!base || !path.isAbsolute(base)) return undefined
  const folder = path.join(base, 'lookout')
  try {
    for (const part of [base, folder]) if (!fs.existsSync(part)) fs.mkdirSync(part, { mode: 0o700 })
    const status = fs.lstatSync(folder)
    const ours = status.isDirectory() && status.uid === process.getuid?.() && (status.mode & 0o022) === 0
    return ours ? folder : undefined
  } catch {
    return undefined // a read-only home: the app is compiled each time
  }
}
