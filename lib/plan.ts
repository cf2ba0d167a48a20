/** The argument vector of the resting program: the other half of the contract that opens native/lookout.c. */
import path from 'node:path'
import { type AppConfig, encode } from './config.js'
import { socketNames } from './environment.js'

export interface Plan {
  /** Said on stderr once the resting program is in charge; '' for nothing. */
  ready: string
  /** The lowest of the listening descriptors, which follow each other. */
  first: number
  /** The board's descriptor, below them. */
  board: number
  /** Files that are removed at the end. */
  files: string[]
  config: AppConfig
  /** How many sockets each address of --listen has, in order. */
  groups: number[]
  args: string[]
}

/** The processes that are woken, made of ours by scripts/boot.js. */
const boot = (name: string): string => path.join(__dirname, '../boot', name)

/**
 * node's own options for a worker: at its end forgetPreload() in worker.ts takes them out of process.execArgv. With the young
 * generation as large as V8 lets it grow anyway, no garbage is collected before the first answer.
 */
export const WORKER_OPTIONS = ['--min-semi-space-size=16', '--require', boot('worker.js')]

/** How a worker is started: its argument vector. */
export function workerArgv(script: string, args: string[]): string[] {
  return [process.execPath, ...WORKER_OPTIONS, script, ...args]
}

/** The master's ends with its workers', of which it starts more. */
export function masterArgv(worker: string[]): string[] {
  return [process.execPath, boot('master.js'), ...worker]
}

export function restingArgv(plan: Plan): string[] {
  const { config, groups } = plan
  const sockets = groups.reduce((sum, count) => sum + count, 0)
  const env = [`LISTEN_FDNAMES=${socketNames(groups)}`, `LOOKOUT_APP=${encode(config)}`]
  const worker = workerArgv(config.script, plan.args)
  const master = masterArgv(worker)
  return [
    'lookout',
    plan.ready,
    config.quiet ? '1' : '0',
    plan.first,
    plan.board,
    plan.files.length,
    ...plan.files,
    config.name,
    sockets,
    config.grace,
    env.length,
    ...env,
    master.length,
    master.length - worker.length,
    ...master,
  ].map(String)
}
