/**
 * The configuration of `lookout up`: found, read anew each time, and checked as a whole, so that every mistake in it is told at
 * once. What it may say is in configuration-schema.ts. Nobody else loads zod and jiti.
 */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { AppInput } from './configuration-schema.js'
import * as shape from './configuration-schema.js'
import { causeOf, Misuse } from './errors.js'
import type { Options } from './option-table.js'
import { optionsOf } from './options.js'
import { resolveScript } from './script.js'

export interface AppSpec {
  /** A DNS label. */
  name: string
  /** Absolute: a file, or a folder whose package.json names the app; absent where there is a command. */
  app?: string
  /** Any program that speaks LISTEN_FDS, with its arguments. */
  command?: string[]
  args: string[]
  /** Absolute. */
  cwd: string
  /** Absolute: another node than ours. */
  node?: string
  env: Record<string, string>
  /** Further names for the gateway, in lower case. */
  hosts: string[]
  /** Without `listen` it is reached by the gateway alone. */
  options: Options
}

export interface Configuration {
  /** Every file that it was made of, absolute; but not what a configuration imports. */
  files: string[]
  /** A port. */
  gateway: number | false
  apps: AppSpec[]
}

const GATEWAY = 8080

const EXTENSIONS = ['.ts', '.mjs', '.js', '.cjs', '.json']

const NAMES = EXTENSIONS.map(extension => `lookout.config${extension}`)

/** What was found to be a configuration. */
interface Source {
  value: unknown
  /** What paths in it are relative to. */
  folder: string
  files: string[]
  /** Mistakes that were seen before it was looked into. */
  lines: string[]
  /** What a mistake at this path is said of. */
  about(path: PropertyKey[]): string
}

/**
 * @param targets a configuration's file, the folder that has one, or folders of apps; none: `cwd`
 * @throws Misuse: one line a mistake, joined by newlines
 */
export async function loadConfiguration(targets: string[], cwd: string): Promise<Configuration> {
  const source = await find(targets, cwd)
  const { mistakes, input } = shape.checkShape(source.value)
  const assembly = new Assembly(source, [...mistakes])
  const apps = input ? Object.entries(input.apps).map(([name, app]) => assembly.app(name, app, input)) : []
  const gateway = input?.gateway ?? GATEWAY
  // A gateway that is wrong clashes with nobody.
  const isGatewayKnown = !mistakes.some(({ path: [first] }) => first === 'gateway')
  assembly.mistakes.push(...shape.clashes(apps, isGatewayKnown && gateway), ...shape.hostClashes(apps))
  const lines = assembly.mistakes.map(({ path, text }) => `cannot use ${source.about(path)}: ${text}`)
  if (source.lines.length + lines.length > 0) throw new Misuse([...new Set([...source.lines, ...lines])].join('\n'))
  return { files: [...assembly.files], gateway, apps }
}

async function find(targets: string[], cwd: string): Promise<Source> {
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
  const about = (at: PropertyKey[]) => [called, shape.dotted(at)].filter(Boolean).join(': ')
  return { value, folder: path.dirname(file), files: [file], lines: [], about }
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
  return { value, folder: '/', files: [], lines, about: ([, name]) => called(apps.get(String(name)) ?? '/') }
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

function isDirectory(file: string): boolean {
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

/** Makes the apps' specifications, and looks whether what they name is there. */
class Assembly {
  readonly files: Set<string>

  constructor(
    private readonly source: Source,
    readonly mistakes: shape.Mistake[],
  ) {
    this.files = new Set(source.files)
  }

  app(name: string, input: AppInput, { defaults = {}, gateway }: shape.Input): AppSpec {
    const at = ['apps', name]
    // What is missing may be there, but wrong.
    const isWhole = !this.mistakes.some(({ path }) => path[0] === at[0] && path[1] === name && path.length > 2)
    if (isWhole && input.listen === undefined && gateway === false)
      this.#mistake([...at, 'listen'], 'an address is wanted, for there is no gateway')
    const cwd = this.#folder([...at, 'cwd'], input.cwd)
    const node = input.command
      ? undefined
      : (this.#node([...at, 'node'], input.node) ?? this.#node(['defaults', 'node'], defaults.node))
    return {
      name,
      ...this.#program(at, input, cwd, isWhole),
      args: input.args ?? [],
      cwd,
      ...(node !== undefined && { node }),
      env: { ...this.#environment(['defaults'], defaults), ...this.#environment(at, input) },
      hosts: (input.hosts ?? []).map(host => host.toLowerCase()),
      options: this.#options(at, { ...this.#given(defaults), ...this.#given(input), name }),
    }
  }

  #mistake(path: PropertyKey[], text: string): void {
    this.mistakes.push({ path, text })
  }

  #folder(at: PropertyKey[], given = '.'): string {
    const folder = path.resolve(this.source.folder, given)
    if (!isDirectory(folder)) this.#mistake(at, `a folder that is there is wanted, not ${shape.show(given)}`)
    return folder
  }

  #node(at: PropertyKey[], given: string | undefined): string | undefined {
    if (given === undefined) return undefined
    const file = path.resolve(this.source.folder, given)
    try {
      fs.accessSync(file, fs.constants.X_OK)
      if (fs.statSync(file).isDirectory()) throw new Error('a folder')
    } catch (error) {
      this.#mistake(at, `a program that can be run is wanted, not ${shape.show(given)} (${causeOf(error)})`)
    }
    return file
  }

  /** What runs. */
  #program(at: PropertyKey[], { script, command, node }: AppInput, cwd: string, isWhole: boolean): Program {
    if (command && script !== undefined) this.#mistake(at, 'script or command is wanted, not both')
    if (command && node !== undefined) this.#mistake([...at, 'node'], 'a script is wanted for it, not a command')
    if (command) return { command }
    if (script !== undefined) return this.#script([...at, 'script'], path.resolve(cwd, script))
    const app = isWhole && isDirectory(cwd) ? this.#packaged(at, cwd) : undefined
    return app === undefined ? {} : { app }
  }

  #script(at: PropertyKey[], app: string): Program {
    try {
      resolveScript(app)
    } catch (error) {
      this.#mistake(at, (error as Error).message)
    }
    return { app }
  }

  /** By the folder's package.json: its main, or else the file that `npm start` has node run. */
  #packaged(at: PropertyKey[], folder: string): string | undefined {
    const file = path.join(folder, 'package.json')
    this.files.add(file)
    try {
      resolveScript(folder)
      return folder
    } catch (error) {
      const start = startOf(file)
      if (start !== undefined) return this.#script(at, path.join(folder, start)).app
      const other = fs.existsSync(file) ? ', and no "start" that is node FILE' : ''
      this.#mistake(at, `script or command is wanted: ${(error as Error).message}${other}`)
      return undefined
    }
  }

  #environment(at: PropertyKey[], { envFile = [], env = {} }: AppInput): Record<string, string> {
    const read = [envFile].flat().map(given => {
      const file = path.resolve(this.source.folder, given)
      this.files.add(file)
      try {
        return parseEnv(fs.readFileSync(file, 'utf8'))
      } catch (error) {
        this.#mistake(
          [...at, 'envFile'],
          `a file that can be read is wanted, not ${shape.show(given)} (${causeOf(error)})`,
        )
        return {}
      }
    })
    const own = Object.entries(env).map(([name, value]) => [name, String(value)])
    return Object.assign({}, ...read, Object.fromEntries(own))
  }

  /** The options that it has, with what they name made absolute. */
  #given(input: AppInput): object {
    const given = shape.OPTION_KEYS.filter(key => input[key] !== undefined)
    return Object.fromEntries(given.map(key => [key, this.#absolute(key, input[key])]))
  }

  #absolute(key: shape.OptionKey, value: unknown): unknown {
    if (shape.FILE_KEYS.includes(key)) return path.resolve(this.source.folder, String(value))
    if (key !== 'listen') return value
    return [value].flat().map(one => {
      const socket = /^(?:unix:|(?=\.\/))(.+)$/.exec(String(one))?.[1]
      return socket === undefined ? one : path.resolve(this.source.folder, socket)
    })
  }

  #options(at: PropertyKey[], given: { name: string }): Options {
    try {
      return optionsOf(given)
    } catch (error) {
      if (!(error instanceof Misuse)) throw error
      // Each for itself is right: they contradict each other.
      this.#mistake(at, error.message)
      return optionsOf({ name: given.name })
    }
  }
}

type Program = Pick<AppSpec, 'app' | 'command'>

function startOf(file: string): string | undefined {
  try {
    return /^node ([\w@./][\w@./+-]*)$/.exec(JSON.parse(fs.readFileSync(file, 'utf8')).scripts?.start?.trim())?.[1]
  } catch {
    return undefined // what is wrong with it was said
  }
}
