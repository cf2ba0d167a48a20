/**
 * `lookout up`: all apps of a configuration behind one resting program, which HUP has think again: then this runs as its child,
 * and what has not changed is not touched.
 */
import path from 'node:path'
import { parseArgs } from 'node:util'
import { become } from '../become.js'
import { Board, makeBoard } from '../board.js'
import { type Configuration, loadConfiguration } from '../configuration.js'
import { appEnvironment } from '../environment.js'
import { Misuse } from '../errors.js'
import { Holding, MOST } from '../holding.js'
import { register, runtimeFolder } from '../instances.js'
import { say } from '../log.js'
import { notify } from '../notify.js'
import { restingArgv } from '../plan.js'
import { resting } from '../posix.js'
import { type Held, handOver, held } from '../reload.js'

const LOOKOUT = path.join(__dirname, '../../../bin/lookout')

const OPTIONS = { help: { type: 'boolean' }, metrics: { type: 'string' } } as const

const USAGE = `Usage: lookout up [--metrics ADDR] [FILE | FOLDER...]

Holds all apps of a configuration (lookout.config.json, .js, .mjs, .ts), or of folders with a package.json each, in
one resting process. See lookout.config(5).

  --metrics ADDR  tell Prometheus of them at http://ADDR/metrics`

/** @throws Misuse, Failure; otherwise this process is another afterwards, or has told its parent what to become */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { values, positionals, tokens } = parseArgs({ args, options: OPTIONS, strict: false, tokens: true })
  if (values.help) return console.log(USAGE)
  const unknown = tokens.find(token => token.kind === 'option' && !Object.hasOwn(OPTIONS, token.name))
  if (unknown?.kind === 'option') throw new Misuse(`unknown option '${unknown.rawName}'`)
  const { metrics } = values
  if (typeof metrics === 'boolean') throw new Misuse('cannot use --metrics: an address is wanted')
  const load = () => loadConfiguration(positionals, process.cwd(), metrics === undefined ? {} : { metrics })
  const before = held(env)
  if (before) return reload(load, args, env, before)
  const holding = new Holding(await load(), env)
  try {
    await holding.bind()
    const registered = register(env)
    const kept = [makeBoard(MOST + 2), ...(registered ? [registered.fd] : [])]
    const { plan, fds } = holding.plan(kept, { files: registered ? [registered.file] : [], reload: again(args) })
    for (const line of holding.lines()) say(`lookout ${process.pid}`, line)
    notify(env, `READY=1\nSTATUS=${plan.ready}`)
    become(resting, restingArgv(plan), appEnvironment(env), [0, 1, 2, ...fds])
  } catch (error) {
    holding.release()
    throw error
  }
}

/** What HUP runs. */
function again(args: string[]): string[] {
  return [process.execPath, LOOKOUT, 'up', ...args]
}

async function reload(
  load: () => Promise<Configuration>,
  args: string[],
  env: NodeJS.ProcessEnv,
  before: Held,
): Promise<void> {
  const record = new Board(before.board)
  // One that was given up for the next never ends: each says which it is, and with it all before it have ended.
  const turn = record.read().restartsBegun + 1
  record.write({ restartsBegun: turn })
  try {
    const holding = new Holding(await load(), env, before)
    try {
      await holding.bind()
      const own = path.join(runtimeFolder(env) ?? '', `${before.pid}`)
      const lock = before.locks.get(own)
      const kept = [before.board, ...(lock === undefined ? [] : [lock])]
      const { plan, fds } = holding.plan(kept, { files: lock === undefined ? [] : [own], reload: again(args) })
      for (const line of holding.lines()) say(`lookout ${before.pid}`, line)
      await handOver(before, plan, fds)
      record.write({ restart: holding.summary(), restartFailed: 0 })
    } catch (error) {
      holding.release()
      throw error
    }
  } catch (error) {
    record.write({ restart: (error as Error).message, restartFailed: 1 })
    throw error
  } finally {
    record.write({ restartsEnded: Math.max(turn, record.read().restartsEnded) })
  }
}
