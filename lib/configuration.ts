/**
 * The configuration of `lookout up`: found, read anew each time, and checked as a whole, so that every mistake in it is told at
 * once. What it may say is in configuration-schema.ts. Nobody else loads zod and jiti.
 */
import fs from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { type Address, parseAddress } from './address.js'
import { clashes, hostClashes } from './configuration-clashes.js'
import { find, isDirectory, type Source } from './configuration-file.js'
import { checkShape, type Mistake } from './configuration-mistakes.js'
import type { AppInput } from './configuration-schema.js'
import * as shape from './configuration-schema.js'
import { causeOf, Misuse } from './errors.js'
import { logFileOf } from './log-file.js'
import type { Options } from './option-table.js'
import { optionsOf } from './options.js'
import type { Rules } from './rules.js'
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
  /** Which requests wake it, where not all do. */
  rules?: Rules
  /** Without `listen` it is reached by the gateway alone. */
  options: Options
}

export interface Configuration {
  /** A port. */
  gateway: number | false
  /** Where metrics are served. */
  metrics?: Address
  apps: AppSpec[]
}

/** Where the gateway is, if nothing else is said. */
const PORT = 8080

/**
 * @param targets a configuration's file, the folder that has one, or folders of apps; none: `cwd`
 * @param over what holds whatever the configuration says
 * @throws Misuse: one line a mistake, joined by newlines
 */
export async function loadConfiguration(targets: string[], cwd: string, over: object = {}): Promise<Configuration> {
  const source = await find(targets, cwd)
  const { mistakes, input } = checkShape(withOver(source.value, over))
  const assembly = new Assembly(source, [...mistakes])
  const apps = input ? Object.entries(input.apps).map(([name, app]) => assembly.app(name, app, input)) : []
  const gateway = input?.gateway ?? PORT
  // A gateway that is wrong clashes with nobody.
  const isGatewayKnown = !mistakes.some(({ path: [first] }) => first === 'gateway')
  const metrics = input?.metrics === undefined ? undefined : assembly.address(input.metrics)
  const own = { gateway: isGatewayKnown && gateway, metrics }
  assembly.mistakes.push(...clashes(apps, own), ...hostClashes(apps))
  const lines = assembly.mistakes.map(({ path, text }) => `cannot use ${source.about(path)}: ${text}`)
  if (source.lines.length + lines.length > 0) throw new Misuse([...new Set([...source.lines, ...lines])].join('\n'))
  return { gateway, ...(metrics && { metrics }), apps }
}

function withOver(value: unknown, over: object): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value, ...over } : value
}

/** Makes the apps' specifications, and looks whether what they name is there. */
class Assembly {
  constructor(
    private readonly source: Source,
    readonly mistakes: Mistake[],
  ) {}

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
      ...this.#rules(at, input, defaults),
      options: this.#options(at, { ...this.#given(defaults), ...this.#given(input), name }),
    }
  }

  /** Those of the defaults are for scripts alone. */
  #rules(at: PropertyKey[], input: AppInput, defaults: AppInput): Pick<AppSpec, 'rules'> {
    const own = input.ignore ?? input.wakeOn
    if (input.command && own) this.#mistake(at, 'a script is wanted for ignore and wakeOn, not a command')
    if (input.command) return {}
    const [ignore, wakeOn] = [input.ignore ?? defaults.ignore, input.wakeOn ?? defaults.wakeOn]
    if (!ignore && !wakeOn) return {}
    const isAny = [input.listen ?? []].flat().some(address => /(^|:)0$/.test(String(address)))
    if (isAny) this.#mistake([...at, 'listen'], 'a port above 0 is wanted, for there is ignore or wakeOn')
    return { rules: { ...(ignore && { ignore }), ...(wakeOn && { wakeOn }) } }
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
    if (key !== 'listen') return shape.asWritten(value)
    return [value].flat().map(one => this.#address(String(one)))
  }

  #address(text: string): string {
    const socket = /^(?:unix:|(?=\.\/))(.+)$/.exec(text)?.[1]
    return socket === undefined ? text : path.resolve(this.source.folder, socket)
  }

  /** As it is checked already. */
  address(given: string | number): Address {
    return parseAddress(this.#address(String(given)))
  }

  #options(at: PropertyKey[], given: { name: string; log?: string }): Options {
    try {
      const { log } = given
      return optionsOf({ ...given, ...(log !== undefined && { log: logFileOf(log, given.name) }) })
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
