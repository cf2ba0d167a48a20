/**
 * `lookout` begins here, as TypeScript: reads the command line, binds the sockets, and then becomes the resting program by
 * exec(2): same pid, same terminal, same sockets. Where the sockets were given to it, somebody connects already: then it becomes
 * the master, with worker 0 started beside it, as the resting program would have had it.
 */
import fs from 'node:fs'
import path from 'node:path'
import { choose, takeOver } from './activation.js'
import { become } from './become.js'
import type { Bound } from './bind.js'
import { makeBoard } from './board.js'
import { now } from './clock.js'
import { type AppConfig, encode } from './config.js'
import { appEnvironment, serviceEnvironment, workerEnvironment } from './environment.js'
import { Failure, Misuse } from './errors.js'
import { register } from './instances.js'
import { say } from './log.js'
import { checkLog, logFileOf } from './log-file.js'
import { notify } from './notify.js'
import type { Options } from './option-table.js'
import { addressesOf, type Parsed, parse } from './options.js'
import { writePidFile } from './pid-file.js'
import { masterArgv, restingArgv, workerArgv } from './plan.js'
import { resting } from './posix.js'
import { resolveScript } from './script.js'
import { makeSlot } from './slot.js'
import type { Group } from './sockets.js'
import { type Launch, spawnWorker } from './spawn.js'
import { become as becomeUser, userEnvironment, userOf, userWord, warning } from './user.js'

/** Standard input, output and error. */
const STANDARD = [0, 1, 2]

/** @throws Misuse or Failure; otherwise this process is another afterwards, or only printed what was asked for. */
export async function run(argv: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { version } = JSON.parse(fs.readFileSync(path.join(__dirname, '../../package.json'), 'utf8'))
  const parsed = parse(argv, env, version)
  if (!parsed) return
  const given = takeOver(env, process.pid)
  if (given) serve(parsed, choose(given, parsed.options.listen), env)
  else await rest(parsed, env)
}

function configOf(app: string, options: Options, script: string): AppConfig {
  const { listen, backlog, deferAccept, socketMode, pidFile, ...kept } = options
  const name = options.name ?? path.basename(app === '.' ? process.cwd() : app)
  const log = kept.log === undefined ? undefined : logFileOf(kept.log, name)
  return { ...kept, ...(log !== undefined && { log }), name, script }
}

// ---- Sockets of our own ----

async function rest({ app, args, options }: Parsed, env: NodeJS.ProcessEnv): Promise<void> {
  const config = configOf(app, options, resolveScript(app))
  if (options.hooks !== undefined && !fs.existsSync(options.hooks)) {
    throw new Misuse(`cannot use --hooks ${options.hooks}: there is no such file`)
  }
  const { bind, release } = require('./bind.js') as typeof import('./bind.js') // of no use where sockets are given
  const user = userOf(options)
  if (config.log !== undefined) checkLog(config.log, user)
  const groups = await bind(addressesOf(options, env), options)
  const sockets = groups.flat()
  const { pidFile, statsFile } = options
  try {
    const pidLock = pidFile === undefined ? [] : [writePidFile(pidFile)]
    const locks = sockets.flatMap(({ lock }) => lock ?? [])
    const registered = register(env)
    const below = [...STANDARD, makeBoard(1), ...pidLock, ...(registered ? [registered.fd] : []), ...locks]
    const shown = { ...config, urls: groups.map(group => group[0]!.url) }
    const alone = { version: '', user: userWord(user), folder: '', env: userEnvironment(user) }
    const warns = config.quiet ? undefined : warning(options)
    if (warns) say(`lookout ${process.pid}`, warns, 'warning')
    const counts = groups.map(group => group.length)
    const argv = restingArgv({
      ready: config.quiet ? '' : readyLine(config, groups),
      quiet: config.quiet,
      first: below.length,
      board: STANDARD.length,
      files: [pidFile, statsFile, registered?.file].filter(file => file !== undefined),
      reload: [],
      apps: [{ ...alone, config: shown, groups: counts, worker: workerArgv(config.script, args) }],
    })
    notify(env, `READY=1\nSTATUS=${readyLine(config, groups)}`)
    become(resting, argv, appEnvironment(env), [...below, ...sockets.map(({ fd }) => fd)])
  } catch (error) {
    release(sockets)
    throw error
  }
}

function readyLine(config: AppConfig, groups: Bound[][]): string {
  return `${config.name} rests at ${groups.map(group => group[0]?.url).join(', ')}`
}

// ---- Sockets that were given ----

/** Somebody connects already: worker 0 and the master boot at the same time, as after a wake. */
function serve({ app, args, options }: Parsed, groups: Group[], env: NodeJS.ProcessEnv): void {
  if (options.pidFile !== undefined)
    throw new Misuse('cannot use --pid-file: whoever gave us the sockets knows our pid')
  const config = { ...configOf(app, options, scriptOf(app)), given: true }
  const user = userOf(options)
  if (config.log !== undefined) checkLog(config.log, user)
  const warns = config.quiet ? undefined : warning(options)
  if (warns) say(`lookout ${process.pid}`, warns, 'warning')
  if (user) becomeUser(user)
  const argv = workerArgv(config.script, args)
  const told = { ...workerEnvironment(env, groups), ...userEnvironment(user), LOOKOUT_APP: encode(config) }
  const stdin = fs.openSync('/dev/null', 'r')
  const slot = makeSlot()
  const { pid, channel } = startFirst({ argv, env: told, groups, stdin, apart: false }, slot)
  const woken = now() - performance.now() // when this process was started
  become(
    process.execPath,
    masterArgv(argv),
    {
      ...told,
      ...serviceEnvironment(env),
      LISTEN_PID: `${process.pid}`,
      LOOKOUT_WORKER_PID: `${pid}`,
      LOOKOUT_WOKEN: `${woken}`,
    },
    [stdin, 1, 2, ...groups.flatMap(({ fds }) => fds), channel, slot, makeBoard(1)],
  )
}

/** One that is not there is an app that fails: who connects is told so, until it is. */
function scriptOf(app: string): string {
  try {
    return resolveScript(app)
  } catch {
    return path.resolve(app)
  }
}

function startFirst(launch: Launch, slot: number): { pid: number; channel: number } {
  try {
    return spawnWorker(0, launch, slot)
  } catch (error) {
    throw new Failure(`cannot start worker 0: ${(error as Error).message}`)
  }
}
