/**
 * Where the configuration of `lookout up` is: a file, the folder that has one, or folders of apps; and what it says, read anew each
 * time. What is to be made of that is configuration.ts's.
 */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { dotted } from './configuration-mistakes.js'
import { causeOf, Misuse } from './errors.js'

const EXTENSIONS = ['.ts', '.mjs', '.js', '.cjs', '.json']

const NAMES = EXTENSIONS.map(extension => `lookout.config${extension}`)

/** What was found to be a configuration. */
export interface Source {
  value: unknown
  /** What paths in it are relative to. */
  folder: string
  /** Mistakes that were seen before it was looked into. */
  lines: string[]
  /** What a mistake at this path is said of. */
  about(path: PropertyKey[]): string
}

/** @throws Misuse */
export async function find(targets: string[], cwd: string): Promise<Source> {
  const given = [...new Set((targets.length > 0 ? targets : ['.']).map(target => path.resolve(cwd, target)))]
  const called = (file: string) => nameOf(file, cwd)
  const [only = cwd] = given
  const files = given.filter(target => !isFolder(target, called(target)))
  if (files.length > 0 && given.length > 1)
    throw new Misuse(`cannot use ${called(files[0]!)}: where there are several, each is a folder`)
  const file = files[0] ?? (given.length === 1 ? configurationIn(only, called(only)) : undefined)
  if (file !== undefined) return fromFile(file, called(file))
  if (targets.length > 0) return fromFolders(given, called)
  throw new Misuse(`cannot use ${cwd}: there is no ${listed(NAMES, 'or')}`)
}

async function fromFile(file: string, called: string): Promise<Source> {
  const value = await read(file, called)
  const about = (at: PropertyKey[]) => [called, dotted(at)].filter(Boolean).join(': ')
  return { value, folder: path.dirname(file), lines: [], about }
}

/** Each folder with a package.json is an app that is called as the folder is. */
function fromFolders(folders: string[], called: (folder: string) => string): Source {
  const apps = new Map<string, string>()
  const lines: string[] = []
  for (const folder of folders.filter(folder => fs.existsSync(path.join(folder, 'package.json')))) {
    const name = path.basename(folder).toLowerCase()
    const other = apps.get(name)
    if (other) lines.push(`cannot use ${called(folder)}: there is a ${name} already, ${called(other)}`)
    else apps.set(name, folder)
  }
  const wanted = folders.length === 1 ? `${listed(NAMES, 'or')}, and no package.json` : 'package.json'
  if (apps.size === 0) throw new Misuse(`cannot use ${folders.map(called).join(', ')}: there is no ${wanted}`)
  const value = { apps: Object.fromEntries([...apps].map(([name, cwd]) => [name, { cwd }])) }
  return { value, folder: '/', lines, about: ([, name]) => called(apps.get(String(name)) ?? '/') }
}

/** As it is said: short where it is below. */
function nameOf(file: string, cwd: string): string {
  const below = path.relative(cwd, file)
  return below === '' || below.startsWith('..') ? file : below
}

function listed(names: string[], word: string): string {
  return `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`
}

function isFolder(target: string, called: string): boolean {
  try {
    return fs.statSync(target).isDirectory()
  } catch (error) {
    throw new Misuse(`cannot use ${called}: ${missing(error)}`)
  }
}

export function isDirectory(file: string): boolean {
  try {
    return fs.statSync(file).isDirectory()
  } catch {
    return false // nothing that one can be in
  }
}

function missing(error: unknown): string {
  return causeOf(error) === 'ENOENT' ? 'it is not there' : causeOf(error)
}

function configurationIn(folder: string, called: string): string | undefined {
  const found = NAMES.filter(name => fs.existsSync(path.join(folder, name)))
  if (found.length > 1)
    throw new Misuse(`cannot use ${called}: one of ${listed(found, 'and')} is wanted, not ${found.length}`)
  return found[0] && path.join(folder, found[0])
}

async function read(file: string, called: string): Promise<unknown> {
  const extension = path.extname(file)
  if (!EXTENSIONS.includes(extension))
    throw new Misuse(`cannot use ${called}: a file that ends in ${listed(EXTENSIONS, 'or')} is wanted`)
  try {
    return extension === '.json' ? readJson(file) : await evaluate(fs.realpathSync(file))
  } catch (error) {
    throw new Misuse(`cannot use ${called}: ${error instanceof Misuse ? error.message : missing(error)}`)
  }
}

/** @throws Misuse with the place, which JSON.parse tells only sometimes */
function readJson(file: string): unknown {
  const text = fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  const thrown = refusal(text)
  if (thrown === undefined) return JSON.parse(text)
  const lines = text.slice(0, placeOf(thrown, text)).split('\n')
  const cause = thrown.replace(/( in JSON)? at position .*/s, '').replace(/, (\.\.\.)?".*/s, '')
  throw new Misuse(`${cause} (line ${lines.length}, column ${lines.at(-1)!.length + 1})`)
}

function refusal(json: string): string | undefined {
  try {
    JSON.parse(json)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function placeOf(thrown: string, text: string): number {
  const token = /^Unexpected token '(.)'/su.exec(thrown)?.[1]
  if (token === undefined) return Number(/ at position (\d+)/.exec(thrown)?.[1] ?? text.length)
  // The first of them up to which the text is refused for a token; cut off before, it is refused for its end.
  for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + 1))
    if (refusal(text.slice(0, at + token.length))?.startsWith('Unexpected token')) return at
  return text.length
}

/** What the thread that evaluates a module says. */
type Said = { value: unknown } | { message: string; stack: string }

/** In a thread of its own: here a module would be what it was when it was first imported, and so would what it imports. */
function evaluate(file: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const program = `(${evaluation})(require('node:worker_threads').workerData)`
    const worker = new Worker(program, { eval: true, workerData: { file, jiti: require.resolve('jiti') } })
    let said: Said | undefined
    worker.on('message', (message: Said) => {
      said = message
      void worker.terminate()
    })
    worker.on('error', error => {
      said ??= { message: String(error?.message ?? error), stack: String(error?.stack) }
    })
    worker.on('exit', () => {
      if (said && 'value' in said) resolve(said.value)
      else reject(new Misuse(said ? withPlace(said, file) : 'it ended before it had a value'))
    })
  })
}

/** All that the thread runs: it sees nothing of what is around it here. */
async function evaluation({ file, jiti }: { file: string; jiti: string }): Promise<void> {
  const { types } = require('node:util') as typeof import('node:util')
  const { parentPort } = require('node:worker_threads') as typeof import('node:worker_threads')
  try {
    const { createJiti } = require(jiti) as typeof import('jiti')
    const module = await createJiti(file, { fsCache: false, interopDefault: false }).import<object>(file)
    const isModule = types.isModuleNamespaceObject(module) || '__esModule' in module
    if (isModule && !('default' in module)) throw new Error('it has no default export')
    const exported: unknown = 'default' in module ? module.default : module
    parentPort?.postMessage({ value: await (typeof exported === 'function' ? exported() : exported) })
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : { name: '', message: error, stack: '' }
    const what = name === 'DataCloneError' ? 'only data can be in it: ' : ''
    parentPort?.postMessage({ message: `${what}${message}`, stack: String(stack) })
  }
}

/** The first line of a message, and where in the configuration, or in what it imports, it came about. */
function withPlace({ message, stack }: { message: string; stack: string }, file: string): string {
  const what = message
    .split('\n', 1)[0]!
    .replace(/^ParseError: /, '')
    .trim()
  const lines = `${message}\n${stack}`.split('\n').filter(line => !/node:|\/node_modules\//.test(line))
  const [place, line] = lines.flatMap(text => /((?:file:\/\/)?\/[^()]+?):(\d+)(:\d+)?\)?$/.exec(text) ?? []).slice(1)
  if (place === undefined) return what
  const at = place.startsWith('file:') ? fileURLToPath(place) : place
  return `${what} (${at === file ? '' : `${path.relative(path.dirname(file), at)} `}line ${line})`
}
