/** `lookout unit`: the systemd units of an app, printed, installed or removed. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Address } from '../address.js'
import { causeOf, Failure, Misuse } from '../errors.js'
import { TABLE } from '../option-table.js'
import { type Given, parseGiven } from '../options.js'
import { runsAs } from '../readable.js'
import { resolveScript } from '../script.js'
import { MARK, serviceUnit, socketUnit, type Unit } from '../unit.js'

const FLAGS = {
  install: 'write them, and have systemd listen; needs root, but for --user',
  remove: 'stop it, and take them away again',
  user: "for the user's own service manager, which needs no root",
}

/** Options that become settings of the socket, or that systemd stands for. */
const OF_THE_SOCKET = ['listen', 'backlog', 'deferAccept', 'socketMode', 'name']

/** Files so called say nothing: then the folder has the name. */
const GENERIC = /^(app|index|main|server|start|\.)$/

const LOOKOUT = path.join(__dirname, '../../../bin/lookout')

/** @throws Misuse, Failure */
export async function run(argv: string[]): Promise<void> {
  const given = parseGiven(argv, {
    name: 'lookout unit',
    description: 'Makes the systemd units of an app: a socket that waits, and the service that it wakes.',
    flags: FLAGS,
  })
  if (given) act(given)
}

function act(given: Given): void {
  const { install, remove, user } = given.flags
  if (install && remove) throw new Misuse('cannot --install and --remove at once')
  const name = nameOf(given)
  const files = new Files(name, user === true)
  if (remove) return files.remove()
  const unit = unitOf(given, name)
  const texts = { socket: socketUnit(unit), service: serviceUnit(unit) }
  if (install) return files.install(texts, unit)
  console.log(`# ${files.path('socket')}\n${texts.socket}\n# ${files.path('service')}\n${texts.service}`.trimEnd())
}

/** @throws Misuse where systemd would not have it */
function nameOf({ app, options, flags }: Given): string {
  const isName = flags.remove === true && !app.includes('/') && !fs.existsSync(app) // else an app, gone or not
  const { dir, name: file } = path.parse(path.resolve(app))
  const name = options.name ?? (isName ? app : GENERIC.test(file) ? path.basename(dir) : file)
  if (!/^\w[\w:.-]{0,199}$/.test(name)) {
    throw new Misuse(`cannot name a unit ${JSON.stringify(name)}: letters, digits and _ - . : are wanted (--name)`)
  }
  return name
}

function unitOf({ app, args, options, texts, flags }: Given, name: string): Unit {
  if (options.pidFile !== undefined) throw new Misuse('cannot use --pid-file in a unit: systemd knows the pid')
  if (options.group !== undefined)
    throw new Misuse('cannot use --group in a unit: its service runs as a user of its own (User=, Group=)')
  if (options.log !== undefined) throw new Misuse('cannot use --log in a unit: the journal has what it says')
  const script = resolveScript(app)
  const folder = fs.statSync(path.resolve(app)).isDirectory() ? path.resolve(app) : path.dirname(script)
  const command = [process.execPath, fs.realpathSync(LOOKOUT)]
  const user = flags.user === true
  const used = [...command, script, ...(options.hooks === undefined ? [] : [options.hooks])]
  const mode = options.socketMode?.toString(8).padStart(4, '0')
  return {
    name,
    listen: (options.listen ?? [{ kind: 'tcp', text: '', host: 'localhost', port: 3000 } as const]).flatMap(streamsOf),
    backlog: options.backlog,
    deferAccept: options.deferAccept,
    ...(mode !== undefined && { socketMode: mode }),
    command,
    args: ['--name', name, ...optionWords(texts, options), script, ...(args.length > 0 ? ['--', ...args] : [])],
    folder,
    grace: options.grace,
    user,
    inHome: used.some(file => /^\/(home|root|run\/user)\//.test(file)),
    inTemporary: used.some(file => /^(\/var)?\/tmp\//.test(file)),
    ...(!user && runsAs(used)),
  }
}

/** As ListenStream= has them. */
function streamsOf(address: Address): string[] {
  if (address.kind === 'unix') return [address.path]
  if (address.kind === 'name') throw new Misuse(`cannot listen on ${address.text} in a unit: an address is wanted`)
  const { host, port, text } = address
  if (port === 0) throw new Misuse(`cannot listen on ${text} in a unit: a port above 0 is wanted`)
  if (host === undefined) return [`${port}`]
  if (host === 'localhost') return [`127.0.0.1:${port}`, `[::1]:${port}`]
  if (/^[\d.]+$/.test(host)) return [`${host}:${port}`]
  if (host.includes(':')) return [`[${host}]:${port}`]
  throw new Misuse(`cannot listen on ${text} in a unit: systemd looks up no names, an IP address is wanted`)
}

/** The options as they were given, paths made absolute. */
function optionWords(texts: Given['texts'], options: Given['options']): string[] {
  const wanted = Object.entries(texts).filter(([key]) => !OF_THE_SOCKET.includes(key))
  return wanted.flatMap(([key, text]) => {
    const [flag = ''] = /--[\w-]+/.exec(TABLE[key as keyof typeof TABLE].flags) ?? []
    if (text === undefined) return [flag]
    return [flag, key === 'hooks' || key === 'statsFile' ? options[key]! : text]
  })
}

type Kind = 'socket' | 'service'

/** The files of an app's units, and what systemd has to know of them. */
class Files {
  readonly #folder: string

  constructor(
    private readonly name: string,
    private readonly user: boolean,
  ) {
    const config = process.env.XDG_CONFIG_HOME || path.join(os.homedir(), '.config')
    this.#folder = user ? path.join(config, 'systemd/user') : '/etc/systemd/system'
  }

  path(kind: Kind): string {
    return path.join(this.#folder, `${this.name}.${kind}`)
  }

  /** @throws Failure where there is a unit of that name that is not ours */
  install(texts: Record<Kind, string>, { listen }: Unit): void {
    const kinds = ['socket', 'service'] as const
    const before = kinds.map(kind => this.#ours(kind))
    const isChanged = before[0] !== undefined && before[0] !== texts.socket
    if (isChanged) this.#systemctl('stop', `${this.name}.socket`, `${this.name}.service`)
    try {
      fs.mkdirSync(this.#folder, { recursive: true })
      for (const kind of kinds) fs.writeFileSync(this.path(kind), texts[kind])
    } catch (error) {
      const hint = causeOf(error) === 'EACCES' ? ' (root may; or use --user)' : ''
      throw new Failure(`cannot write ${this.path('socket')}: ${causeOf(error)}${hint}`)
    }
    this.#systemctl('daemon-reload')
    this.#systemctl('enable', '--quiet', '--now', `${this.name}.socket`)
    if (!isChanged && before[1] !== texts.service) this.#systemctl('try-restart', `${this.name}.service`)
    const journal = `journalctl ${this.user ? '--user ' : ''}-fu ${this.name}`
    console.log(`${this.name} rests at ${listen.join(', ')}\n${this.path('service')}\nwhat it says: ${journal}`)
  }

  remove(): void {
    const [socket, service] = [this.#ours('socket'), this.#ours('service')]
    if (socket === undefined && service === undefined) {
      throw new Misuse(`cannot remove ${this.name}: there is no ${this.path('socket')}`)
    }
    this.#systemctl('disable', '--quiet', '--now', `${this.name}.socket`)
    this.#systemctl('stop', `${this.name}.service`)
    for (const kind of ['socket', 'service'] as const) fs.rmSync(this.path(kind), { force: true })
    this.#systemctl('daemon-reload')
    console.log(`${this.name} is removed`)
  }

  /** What is in our file; undefined where there is none. */
  #ours(kind: Kind): string | undefined {
    const found = this.#systemctl('show', '--value', '--property=FragmentPath', `${this.name}.${kind}`).trim()
    const file = found || this.path(kind)
    if (!fs.existsSync(file)) return undefined
    const text = fs.readFileSync(file, 'utf8')
    if (file === this.path(kind) && text.startsWith(MARK)) return text
    throw new Failure(`cannot use the name ${this.name}: ${file} is there, and not ours (--name)`)
  }

  /** @throws Failure with what systemctl said */
  #systemctl(...args: string[]): string {
    const words = [...(this.user ? ['--user'] : []), ...args]
    const { error, status, stdout, stderr } = spawnSync('systemctl', words, { encoding: 'utf8' })
    if (error) throw new Failure(`cannot run systemctl: ${causeOf(error)}`)
    if (status === 0) return stdout
    throw new Failure(
      `cannot ${args[0]} ${this.name}: ${stderr.trim().split('\n')[0] || `systemctl exited with ${status}`}`,
    )
  }
}
