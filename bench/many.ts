/** many.ts COUNT APP: becomes the resting program with COUNT apps, each with a socket of its own. */
import { restingArgv } from '../dist/lib/plan.js'
import { posix, resting } from '../dist/lib/posix.js'

const [count, script] = process.argv.slice(2) as [string, string]

/** Above whatever is open now, or was inherited. */
const FIRST = 1024

const config = { script, idle: 30_000, workers: 1, grace: 30_000, bootTimeout: 60_000, watch: false, quiet: true }
for (const standard of [0, 1, 2]) posix.cloexec(standard, 0) // Node marks all that it inherits
const argv: string[] = []
for (let index = 0; index < Number(count); index++) {
  const fd = posix.socket(posix.AF_INET)
  posix.bind(fd, posix.AF_INET, '127.0.0.1', 0)
  posix.listen(fd, 4096)
  posix.cloexec(posix.dup(fd, FIRST + index), 0)
  posix.close(fd)
  const app = { ...config, name: `app${index}` }
  const plan = restingArgv({ ready: '', first: FIRST, config: app, groups: [1], args: [] })
  argv.push(...plan.slice(argv.length === 0 ? 0 : 4)) // the program's own four come once
}
posix.exec(resting, argv, [`PATH=${process.env.PATH}`])
