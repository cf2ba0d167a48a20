/** What tests of another user need: the user, and a lookout that it may read. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { ROOT, temporaryFolder } from './lookout.js'

/** A folder that anybody can read. */
export function openFolder(): string {
  const folder = temporaryFolder()
  fs.chmodSync(folder, 0o755)
  return folder
}

/** lookout where anybody can read it: that of the tests may be in a folder that is closed to others. */
export function readable(): string {
  const folder = openFolder()
  const modules = ['commander', 'fastest-levenshtein', 'jiti', 'node-gyp-build', 'zod'].map(
    name => `node_modules/${name}`,
  )
  for (const part of ['bin', 'dist', 'build/Release', 'package.json', ...modules])
    fs.cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true })
  return path.join(folder, 'bin/lookout')
}

export const nobody = () => {
  const fields = spawnSync('getent', ['passwd', 'nobody'], { encoding: 'utf8' }).stdout.split(':')
  return { uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5]! }
}
