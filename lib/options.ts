/**
 * The options of `lookout`: one table, which feeds the parser, --help, the environment (LOOKOUT_*) and the test that the
 * man page agrees. commander parses, since it says which option was nearly meant and stops at the app, whose own
 * arguments follow; node:util's parseArgs does neither.
 */
import os from 'node:os'
import { Command, CommanderError, Option } from 'commander'
import { type Address, parseAddress, parseTime } from './address.js'
import { Misuse } from './errors.js'

export interface Options {
  listen: Address[]
  /** ms; 0: never rests */
  idle: number
  workers: number
  name?: string
  grace: number
  bootTimeout: number
  backlog: number
  deferAccept: boolean
  socketMode?: number
  watch: boolean
  quiet: boolean
}

interface Entry {
  flags: string
  /** What a missing option means, as it is written. */
  default?: string
  help: string
  /** Absent: a flag. */
  parse?(text: string): unknown
  /** May be given more than once; in the environment, separated by commas or spaces. */
  repeat?: boolean
}

function integer(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new Misuse(`a whole number from ${least} to ${most} is wanted, not ${JSON.stringify(text)}`)
    }
    return value
  }
}

const MAX_WORKERS = 256

function workers(text: string): number {
  return text === 'auto' ? os.availableParallelism() : integer(1, MAX_WORKERS)(text)
}

function mode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) throw new Misuse(`a mode is octal, as 660, not ${JSON.stringify(text)}`)
  return Number.parseInt(text, 8)
}

export const TABLE: Record<keyof Options, Entry> = {
  listen: {
    flags: '-l, --listen <addr>',
    default: '$PORT, else localhost:3000',
    help: 'PORT, HOST:PORT, [V6]:PORT, /path or unix:/path; repeatable',
    parse: parseAddress,
    repeat: true,
  },
  idle: {
    flags: '-i, --idle <time>',
    default: '30s',
    help: 'rest after this long without work; 0: never',
    parse: parseTime,
  },
  workers: { flags: '-w, --workers <n>', default: '1', help: 'processes that serve; auto: one a core', parse: workers },
  name: { flags: '--name <name>', help: 'what to call the app (its file or folder)', parse: text => text },
  grace: { flags: '--grace <time>', default: '30s', help: 'what a stopped worker has to finish', parse: parseTime },
  bootTimeout: {
    flags: '--boot-timeout <time>',
    default: '60s',
    help: 'what the app has to listen; 0: no limit',
    parse: parseTime,
  },
  backlog: {
    flags: '--backlog <n>',
    default: '4096',
    help: 'connections that may wait to be accepted',
    parse: integer(1, 65535),
  },
  deferAccept: {
    flags: '--no-defer-accept',
    help: 'let a connection without data wake the app; for protocols in which the server speaks first',
  },
  socketMode: { flags: '--socket-mode <mode>', help: 'permissions of unix sockets, as 660 (by umask)', parse: mode },
  watch: { flags: '--watch', help: 'rest when a file that the app loaded changes' },
  quiet: { flags: '-q, --quiet', help: 'say nothing but failures' },
}

/** The environment's name for an option: LOOKOUT_BOOT_TIMEOUT for bootTimeout. */
export function environmentName(option: string): string {
  return `LOOKOUT_${option.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}

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

function command(version: string): Command {
  const program = new Command('lookout')
    .usage('[options] <app> [-- args]')
    .description('Puts an app behind a listening socket and rests until somebody connects.')
    .argument('<app>', 'a file that node can run, or a folder whose package.json names one')
    .argument('[args...]', "the app's own arguments")
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this')
    .passThroughOptions()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .addHelpText(
      'after',
      '\nTIME is 30, 30s, 500ms, 5m or 1h. Every option is also read from the environment: LOOKOUT_IDLE for --idle.',
    )
  for (const entry of Object.values(TABLE)) {
    const option = new Option(entry.flags, entry.default ? `${entry.help} (default: ${entry.default})` : entry.help)
    if (entry.parse) {
      option.argParser((text: string, before: unknown) => {
        const value = valueFrom(entry, text, option.long ?? '')
        return entry.repeat ? [...((before as unknown[]) ?? []), ...(value as unknown[])] : value
      })
    }
    program.addOption(option)
    if (option.negate) program.addOption(new Option(`--${option.long?.slice(5)}`).hideHelp())
  }
  return program
}

function defaults(env: NodeJS.ProcessEnv): Options {
  const listen = env.PORT ? valueFrom(TABLE.listen, env.PORT, 'PORT') : [parseAddress('localhost:3000')]
  const values: Record<string, unknown> = { listen, deferAccept: true, watch: false, quiet: false }
  for (const [key, entry] of Object.entries(TABLE)) {
    if (entry.default && key !== 'listen') values[key] = entry.parse?.(entry.default)
    const text = env[environmentName(key)]
    if (text !== undefined) values[key] = valueFrom(entry, text, environmentName(key))
  }
  return values as unknown as Options
}

export interface Parsed {
  app: string
  args: string[]
  options: Options
}

/**
 * @returns undefined where --help or --version was all that was asked, and has been printed
 * @throws Misuse
 */
export function parse(argv: string[], env: NodeJS.ProcessEnv, version: string): Parsed | undefined {
  const program = command(version)
  try {
    program.parse(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return undefined
    throw new Misuse(error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' '))
  }
  const given = Object.entries(program.opts()).filter(([key]) => program.getOptionValueSource(key) === 'cli')
  const [app, ...rest] = program.args as [string, ...string[]]
  const args = rest[0] === '--' ? rest.slice(1) : rest
  return { app, args, options: { ...defaults(env), ...Object.fromEntries(given) } }
}
