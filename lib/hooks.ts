/** What an app's operator wants done when something happens: functions of a module (--hooks), or of the library's options. */
import type http from 'node:http'
import { say } from './log.js'

export interface Hooks {
  /** In each worker, before the app is loaded. */
  onStart?(): void
  /** In each worker that goes because a restart has replaced it, when it begins to finish what it has. */
  onReload?(): void
  /** In the master: a worker was started. */
  onWorkerStart?(pid: number): void
  /** In the master: a worker has ended, with its exit code, or 128 and the signal that killed it. */
  onWorkerExit?(pid: number, status: number): void
  /**
   * In a worker: an exception that nobody caught, which is about to end it; with the request that it was about, where only one
   * was in flight.
   */
  onError?(error: unknown, request: http.IncomingMessage | undefined): void
}

const NAMES: readonly (keyof Hooks)[] = ['onStart', 'onReload', 'onWorkerStart', 'onWorkerExit', 'onError']

/** What a module exports besides. */
const MODULE = ['__esModule', 'module.exports']

/**
 * Takes the hooks out of what a module exports, or an options object has.
 * @throws TypeError naming what is no hook, or no function
 */
export function checkHooks(from: object, where: string): Hooks {
  const { default: inner, ...outer } = from as Record<string, unknown>
  const exported = typeof inner === 'object' && inner !== null ? { ...outer, ...inner } : outer
  const given = Object.entries(exported).filter(([name, value]) => value !== undefined && !MODULE.includes(name))
  for (const [name, value] of given) {
    if (!NAMES.includes(name as keyof Hooks))
      throw new TypeError(`${where}: there is no hook ${name}, but ${NAMES.join(', ')}`)
    if (typeof value !== 'function') throw new TypeError(`${where}: ${name} is not a function`)
  }
  return Object.fromEntries(given)
}

/** @throws what loading the module throws, or TypeError */
export function loadHooks(file: string | undefined): Hooks {
  return file === undefined ? {} : checkHooks(require(file) as object, file)
}

/** The same, for who can do without: where they cannot be loaded no worker comes to be either, and says why to who asks. */
export function hooksOf(file: string | undefined): Hooks {
  try {
    return loadHooks(file)
  } catch (error) {
    say(`master ${process.pid}`, `cannot load --hooks: ${(error as Error).message.split('\n', 1)[0]}`, 'error')
    return {}
  }
}

/** Calls one. What it throws is said, and stops nothing; a promise that it returns is watched in the same way. */
export function run<Name extends keyof Hooks>(
  hooks: Hooks,
  name: Name,
  ...values: Parameters<NonNullable<Hooks[Name]>>
): void {
  const failed = (error: unknown) => say(`hook ${name} pid ${process.pid}`, `failed: ${describe(error)}`, 'error')
  try {
    const result: unknown = (hooks[name] as ((...values: unknown[]) => unknown) | undefined)?.(...values)
    if (result instanceof Promise) result.catch(failed)
  } catch (error) {
    failed(error)
  }
}

/** Whatever was thrown. */
function describe(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'something that is no text'
  }
}
