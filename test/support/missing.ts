/** Tests of what not every machine has: they say so in a line where it is missing, and fail where it must not be (CI). */
import { spawnSync } from 'node:child_process'
import type { Context } from 'mocha'

/** @param reason what is missing; undefined where nothing is, and the test runs */
export function skipWithout(context: Context, reason: string | undefined): void {
  if (reason === undefined) return
  if (process.env.LOOKOUT_TESTS_ALL === 'required') throw new Error(reason)
  console.log(`    not run: ${reason}`)
  context.skip()
}

/** What to say where root is needed, and we are not. */
export const notRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : 'root is needed')

/** What to say where no network namespace can be made. */
export function noNetwork(): string | undefined {
  const { status } = spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'])
  return status === 0 ? undefined : 'a network namespace is needed: root, unshare and ip'
}
