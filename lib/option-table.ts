/** The options of `lookout` as one table: what each is called, means and takes. options.ts reads them, the tests compare the docs. */
import os from 'node:os'
import path from 'node:path'
import { type Address, parseAddress, parseSize, parseTime } from './address.js'
import { type AppConfig, MAX_WORKERS, type Range } from './config.js'
import { Misuse } from './errors.js'
import { parseHours } from './hours.js'

/** What the command line says: what an app's processes are told, and what concerns its sockets and files alone. */
export type Options = Omit<
  AppConfig,
  'name' | 'script' | 'slot' | 'program' | 'listen' | 'urls' | 'hosts' | 'ignore' | 'wakeOn' | 'given' | 'prefork'
> & {
  name?: string
  /** Where nothing was said: see addressesOf() in options.ts. */
  listen?: Address[]
  backlog: number
  deferAccept: boolean
  socketMode?: number
  pidFile?: string
}

export interface Entry {
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

function workers(text: string): Range {
  const number = (part: string) => (part === 'auto' ? os.availableParallelism() : integer(1, MAX_WORKERS)(part))
  const parts = text.split(':')
  if (parts.length > 2) throw new Misuse(`N, auto or MIN:MAX is wanted, not ${JSON.stringify(text)}`)
  const [least, most] = [number(parts[0]!), number(parts.at(-1)!)]
  if (least > most) throw new Misuse(`MIN is at most MAX, and ${least} is above ${most}`)
  return { least, most }
}

function signalNumber(text: string): number {
  const name = text.toUpperCase().replace(/^(SIG)?/, 'SIG')
  const number = os.constants.signals[name as NodeJS.Signals]
  if (number === undefined) throw new Misuse(`a signal is TERM, ABRT or another's name, not ${JSON.stringify(text)}`)
  return number
}

function file(text: string): string {
  if (text === '') throw new Misuse('a file is wanted')
  return path.resolve(text)
}

function mode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) throw new Misuse(`a mode is octal, as 660, not ${JSON.stringify(text)}`)
  return Number.parseInt(text, 8)
}

export const TABLE: Record<keyof Options, Entry> = {
  listen: {
    flags: '-l, --listen <addr>',
    default: '$PORT, else localhost:3000',
    help: 'PORT, HOST:PORT, [V6]:PORT, /path, unix:/path, or name=NAME of a socket given by systemd; repeatable',
    parse: parseAddress,
    repeat: true,
  },
  idle: {
    flags: '-i, --idle <time>',
    default: '30s',
    help: 'rest after this long without work; 0: never',
    parse: parseTime,
  },
  idleUpgraded: {
    flags: '--idle-upgraded <time>',
    default: '0',
    help: 'count a WebSocket as idle when nothing but pings has passed for this long; 0: never',
    parse: parseTime,
  },
  keepAwake: {
    flags: '--keep-awake <hours>',
    help: 'when an idle app stays awake, as 8:00-18:00 or mon-fri 8:00-18:00, local time',
    parse: parseHours,
  },
  workers: {
    flags: '-w, --workers <n>',
    default: '1',
    help: 'processes that serve, or MIN:MAX of them as load demands; auto: one a core',
    parse: workers,
  },
  maxConnections: {
    flags: '--max-connections <n>',
    default: '0',
    help: 'connections that a worker takes at a time, the others wait; 0: no limit',
    parse: integer(0, 1_000_000),
  },
  standby: {
    flags: '--standby <n>',
    default: '1',
    help: 'with MIN:MAX, connections for which there is to be room at any time',
    parse: integer(0, 1_000_000),
  },
  maxIdle: {
    flags: '--max-idle <time>',
    default: '10s',
    help: 'with MIN:MAX, how long there must be too many workers before some go; 0: for ever',
    parse: parseTime,
  },
  maxUse: {
    flags: '--max-use <n>',
    default: '0',
    help: 'replace a worker after about this many requests; 0: never',
    parse: integer(0, 1_000_000_000),
  },
  maxRss: {
    flags: '--max-rss <size>',
    default: '0',
    help: 'replace a worker that uses more memory, as 512M; 0: never',
    parse: parseSize,
  },
  maxLifetime: {
    flags: '--max-lifetime <time>',
    default: '0',
    help: 'replace a worker that is about this old; 0: never',
    parse: parseTime,
  },
  watchdog: {
    flags: '--watchdog <time>',
    default: '60s',
    help: 'replace a worker whose event loop hangs for this long; 0: never',
    parse: parseTime,
  },
  watchdogSignal: {
    flags: '--watchdog-signal <name>',
    default: 'TERM',
    help: 'what a worker that hangs gets before it is killed',
    parse: signalNumber,
  },
  name: { flags: '--name <name>', help: 'what to call the app (its file or folder)', parse: text => text },
  user: {
    flags: '--user <name>',
    help: "who the app's processes are, where lookout is root; a name or a number",
    parse: text => text,
  },
  group: { flags: '--group <name>', help: "with --user, their group (the user's own)", parse: text => text },
  grace: { flags: '--grace <time>', default: '30s', help: 'what a stopped worker has to finish', parse: parseTime },
  bootTimeout: {
    flags: '--boot-timeout <time>',
    default: '60s',
    help: 'what the app has to listen; 0: no limit',
    parse: parseTime,
  },
  firstDataTimeout: {
    flags: '--first-data-timeout <time>',
    default: '30s',
    help: 'what a client of an HTTP server has to send its first byte; 0: no limit',
    parse: parseTime,
  },
  headerTimeout: {
    flags: '--header-timeout <time>',
    help: "what it has to send a request's head (the app's own)",
    parse: parseTime,
  },
  requestTimeout: {
    flags: '--request-timeout <time>',
    help: "what it has to send a whole request (the app's own)",
    parse: parseTime,
  },
  keepAliveTimeout: {
    flags: '--keep-alive-timeout <time>',
    help: "what an idle connection has to send another request (the app's own)",
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
  pidFile: { flags: '--pid-file <file>', help: 'where to write the pid of lookout', parse: file },
  log: {
    flags: '--log <file>',
    help: "where to append what the app's processes say, or a folder for NAME.log (lookout's own output)",
    parse: file,
  },
  statsFile: {
    flags: '--stats-file <file>',
    help: 'where to write statistics every second, as JSON',
    parse: file,
  },
  hooks: { flags: '--hooks <file>', help: 'a module with functions to be called when something happens', parse: file },
  watch: { flags: '--watch', help: 'rest when a file that the app loaded changes' },
  quiet: { flags: '-q, --quiet', help: 'say nothing but failures' },
}

/** The environment's name for an option: LOOKOUT_BOOT_TIMEOUT for bootTimeout. */
export function environmentName(option: string): string {
  return `LOOKOUT_${option.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
}
