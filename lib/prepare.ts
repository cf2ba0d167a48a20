/**
 * `lookout` begins here, as TypeScript: reads the command line, binds the sockets, and then becomes the resting
 * program by exec(2): same pid, same terminal, same sockets.
 */
import fs from 'node:fs'
import path from 'node:path'
import { type Bound, bind, release } from './bind.js'
import { makeBoard } from './board.js'
import type { AppConfig } from './config.js'
import { appEnvironment } from './environment.js'
import { causeOf, Failure, Misuse } from './errors.js'
import { tracer } from './log.js'
import type { Options } from './option-table.js'
import { parse } from './options.js'
import { writePidFile } from './pid-file.js'
import { restingArgv } from './plan.js'
import { posix, resting } from './posix.js'
import { resolveScript } from './script.js'

const trace = tracer('prepare')

/** @throws Misuse or Failure; otherwise this process is another afterwards, or only printed what was asked for. */
export async function run(argv: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { version } = JSON.parse(fs.readFileSync(path.join(__dirname, '../../package.json'), 'utf8'))
  const parsed = parse(argv, env, version)
  if (!parsed) return
  const config = configOf(parsed.app, parsed.options)
  const groups = await bind(parsed.options.listen, parsed.options)
  const sockets = groups.flat()
  const { pidFile, statsFile } = parsed.options
  try {
    const kept = [makeBoard(1), ...(pidFile === undefined ? [] : [writePidFile(pidFile)])]
    const plan = {
      ready: config.quiet ? '' : readyLine(config, groups),
      ...arrange(sockets, kept),
      files: [pidFile, statsFile].filter(file => file !== undefined),
      config,
      groups: groups.map(group => group.length),
      args: parsed.args,
    }
    trace('becomes %s %o', resting, restingArgv(plan))
    become(restingArgv(plan), appEnvironment(env))
  } catch (error) {
    release(sockets)
    throw error
  }
}

function become(argv: string[], env: NodeJS.ProcessEnv): void {
  try {
    posix.exec(
      resting,
      argv,
      Object.entries(env).map(([name, value]) => `${name}=${value}`),
    )
  } catch (error) {
    throw new Failure(`cannot run ${resting}: ${causeOf(error)}`)
  }
}

function configOf(app: string, options: Options): AppConfig {
  const script = resolveScript(app)
  if (options.hooks !== undefined && !fs.existsSync(options.hooks)) {
    throw new Misuse(`cannot use --hooks ${options.hooks}: there is no such file`)
  }
  const { listen, backlog, deferAccept, socketMode, pidFile, ...kept } = options
  const name = options.name ?? path.basename(app === '.' ? process.cwd() : app)
  return { ...kept, name, script }
}

function readyLine(config: AppConfig, groups: Bound[][]): string {
  return `${config.name} rests at ${groups.map(group => group[0]?.url).join(', ')}`
}

/**
 * Duplicates the sockets to neighbouring descriptors above all else that is kept over exec: the board, then locks, as they
 * are.
 */
function arrange(sockets: Bound[], kept: number[]): { first: number; board: number } {
  const locks = sockets.flatMap(({ lock }) => lock ?? [])
  const open = new Set(fs.readdirSync('/proc/self/fd').map(Number))
  let first = Math.max(...kept, ...locks) + 1
  while (sockets.some((_, index) => open.has(first + index))) first++ // the limit of open files may be near
  for (const fd of [0, 1, 2, ...kept, ...locks]) posix.cloexec(fd, 0) // Node marks all that it inherits or opens
  for (const socket of sockets) {
    const { fd } = socket
    socket.fd = posix.dup(fd, first)
    posix.cloexec(socket.fd, 0)
    posix.close(fd)
  }
  return { first, board: kept[0]! }
}
