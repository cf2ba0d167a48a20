/**
 * Reads the options of option-table.ts from the command line, the environment (LOOKOUT_*) and the library's objects. commander
 * parses, since it says which option was nearly meant and stops at the app, whose own arguments follow; node:util's parseArgs
 * does neither.
 */
import { Command, CommanderError, Option } from 'commander'
import { type Address, parseAddress, parseTime } from './address.js'
import type { Address as Bindable } from './bind.js'
import { Misuse } from './errors.js'
import { type Entry, environmentName, type Options, TABLE } from './option-table.js'

function boolean(text: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true
  if (/^(0|false|no|off|)$/i.test(text)) return false
  throw new Misuse(`1 or 0 is wanted, not ${JSON.stringify(text)}`)
}

function valueFrom(entry: Entry, text: string, where: string): unknown {
  try {
    if (!entry.parse) return boolean(text)
    if (!entry.repeat) return entry.parse(text)
    return text
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(entry.parse)
  } catch (error) {
    if (error instanceof Misuse) throw new Misuse(`cannot use ${where}: ${error.message}`)
    throw error
  }
}

/** What is said of a command in its --help. */
interface Face {
  name: string
  description: string
  /** Of the command alone: names without dashes, with their help. */
  flags?: Record<string, string>
}

/** The texts that options were given as, by their names in TABLE; undefined for a flag. */
type Texts = Partial<Record<keyof Options, string | undefined>>

/** @param texts is filled while the command line is read */
function command({ name, description, flags = {} }: Face, texts: Texts = {}): Command {
  const program = new Command(name)
    .usage('[options] <app> [-- args]')
    .description(description)
    .argument('<app>', 'a file that node can run, or a folder whose package.json names one')
    .argument('[args...]', "the app's own arguments")
    .helpOption('--help', 'print this')
    .passThroughOptions()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  for (const [flag, help] of Object.entries(flags)) program.option(`--${flag}`, help)
  for (const [key, entry] of Object.entries(TABLE)) {
    if (key in flags) continue // the command means something else by it
    const option = new Option(entry.flags, entry.default ? `${entry.help} (default: ${entry.default})` : entry.help)
    if (entry.parse) {
      option.argParser((text: string, before: unknown) => {
        const value = valueFrom(entry, text, option.long ?? '')
        texts[key as keyof Options] = text
        return entry.repeat ? [...((before as unknown[]) ?? []), ...(value as unknown[])] : value
      })
    }
    program.addOption(option)
    if (option.negate) program.addOption(new Option(`--${option.long?.slice(5)}`).hideHelp())
  }
  return program
}

function defaults(env: NodeJS.ProcessEnv): Options {
  const values: Record<string, unknown> = { deferAccept: true, watch: false, quiet: false }
  for (const [key, entry] of Object.entries(TABLE)) {
    if (entry.default && key !== 'listen') values[key] = entry.parse?.(entry.default)
    const text = env[environmentName(key)]
    if (text !== undefined) values[key] = valueFrom(entry, text, environmentName(key))
  }
  return values as unknown as Options
}

/**
 * Where to listen.
 * @throws Misuse for a port that is none, and for names: nobody gave us sockets
 */
export function addressesOf({ listen }: Pick<Options, 'listen'>, env: NodeJS.ProcessEnv): Bindable[] {
  const port = () => (env.PORT ? (valueFrom(TABLE.listen, env.PORT, 'PORT') as Address[]) : undefined)
  return (listen ?? port() ?? [parseAddress('localhost:3000')]).map(address => {
    if (address.kind !== 'name') return address
    throw new Misuse(`cannot listen on ${address.text}: no sockets were given (LISTEN_FDS)`)
  })
}

/** Limits that contradict each other. */
function check({ workers, maxConnections, standby }: Options): void {
  const room = workers.most * Math.max(1, maxConnections)
  if (workers.least < workers.most && standby > room) {
    const what =
      maxConnections > 0 ? `${workers.most} workers of ${maxConnections} connections` : `${workers.most} workers`
    throw new Misuse(`cannot keep room for --standby ${standby}: ${what} have room for ${room}`)
  }
}

/**
 * The same options as the library has them: texts as on the command line, or values in ms and bytes.
 * @throws Misuse naming the option
 */
export function optionsOf(given: object): Options {
  const wanted = Object.entries(given).filter(([, value]) => value !== undefined)
  const options = {
    ...defaults({}),
    ...Object.fromEntries(wanted.map(([name, value]) => [name, libraryValue(name, value)])),
  }
  check(options)
  return options
}

function libraryValue(name: string, value: unknown): unknown {
  if (!Object.hasOwn(TABLE, name)) throw new Misuse(`there is no option ${name}`)
  const entry = (TABLE as Record<string, Entry>)[name]!
  if (entry.repeat) return [value].flat().map(one => entry.parse?.(written(name, one)))
  if (typeof value === 'boolean' && !entry.parse) return value
  const isTime = typeof value === 'number' && entry.parse === parseTime
  return valueFrom(entry, `${written(name, value)}${isTime ? 'ms' : ''}`, name)
}

/** Anything else could not even be made a text. */
function written(name: string, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return `${value}`
  throw new Misuse(`cannot use ${name}: it is of no use as ${typeof value}`)
}

export interface Parsed {
  app: string
  args: string[]
  options: Options
}

/** @returns false where --help or --version was all that was asked, and has been printed */
function read(program: Command, argv: string[]): boolean {
  try {
    program.parse(argv, { from: 'user' })
    return true
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return false
    throw new Misuse(error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' '))
  }
}

/** What the command line says beyond `before`. */
function parsed(program: Command, before: Options): Parsed & { given: [string, unknown][] } {
  const given = Object.entries(program.opts()).filter(([key]) => program.getOptionValueSource(key) === 'cli')
  const [app, ...rest] = program.args as [string, ...string[]]
  const args = rest[0] === '--' ? rest.slice(1) : rest
  const options = { ...before, ...Object.fromEntries(given) }
  check(options)
  return { app, args, options, given }
}

/**
 * @returns undefined where --help or --version was all that was asked, and has been printed
 * @throws Misuse
 */
export function parse(argv: string[], env: NodeJS.ProcessEnv, version: string): Parsed | undefined {
  const description = 'Puts an app behind a listening socket and rests until somebody connects.'
  const program = command({ name: 'lookout', description })
    .version(version, '--version', 'print the version')
    .addHelpText(
      'after',
      '\nCommands:\n' +
        '  lookout up [FILE|FOLDER...]   hold all apps of a configuration; lookout reload, stop\n' +
        '  lookout ls, status, top       tell how the apps are, and why; nobody is woken by it\n' +
        '  lookout logs, metrics         what they have said, and what is counted of them\n' +
        '  lookout wake, rest, restart   what they say, to the app that is named\n' +
        '  lookout unit [options] <app>  make the systemd units of an app, or --install them\n' +
        '  lookout completion <shell>    complete these words in bash, zsh or fish\n' +
        'Each has --help.\n' +
        '\nTIME is 30, 30s, 500ms, 5m or 1h. Every option is also read from the environment: LOOKOUT_IDLE for --idle.',
    )
  return read(program, argv) ? parsed(program, defaults(env)) : undefined
}

/** What a command line says, and how it says it. */
export interface Given extends Parsed {
  texts: Texts
  /** Of the command's own. */
  flags: Record<string, boolean>
}

/**
 * The same options for a command that hands them on.
 * @returns undefined where --help was asked
 * @throws Misuse
 */
export function parseGiven(argv: string[], face: Face): Given | undefined {
  const texts: Texts = {}
  const program = command(face, texts)
  if (!read(program, argv)) return undefined
  const { given, options, ...rest } = parsed(program, defaults({}))
  const isFlag = ([key]: [string, unknown]) => key in (face.flags ?? {})
  const flags = Object.fromEntries(given.filter(isFlag)) as Record<string, boolean>
  for (const [key, value] of given.filter(each => !isFlag(each))) {
    if (typeof value === 'boolean') texts[key as keyof Options] = undefined
  }
  const own = Object.entries(options).filter(each => !isFlag(each))
  return { ...rest, options: Object.fromEntries(own) as unknown as Options, texts, flags }
}
