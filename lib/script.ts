/** Which file an app is: what the command line names, made sure of before a socket is bound. */
import fs from 'node:fs'
import path from 'node:path'
import { causeOf, Misuse } from './errors.js'

function mainOf(app: string, folder: string): string {
  const file = path.join(folder, 'package.json')
  let main: unknown
  try {
    main = JSON.parse(fs.readFileSync(file, 'utf8')).main
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Misuse(`cannot run ${app}: a folder without package.json`)
    throw new Misuse(`cannot run ${app}: package.json: ${causeOf(error)}`)
  }
  if (typeof main !== 'string' || main === '') throw new Misuse(`cannot run ${app}: its package.json has no "main"`)
  return path.join(folder, main)
}

/** The absolute path of what node is to run: as node would find it, with an extension left out or not. */
export function resolveScript(app: string): string {
  const named = path.resolve(app)
  const folder = fs.statSync(named, { throwIfNoEntry: false })?.isDirectory()
  const file = folder ? mainOf(app, named) : named
  try {
    const found = require.resolve(file)
    fs.accessSync(found, fs.constants.R_OK)
    return found
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const cause = code === 'MODULE_NOT_FOUND' ? `${folder ? `"main" names ${file}, which` : 'it'} is not there` : code
    throw new Misuse(`cannot run ${app}: ${cause}`)
  }
}
