/** many.ts COUNT APP: becomes the resting program with COUNT apps, each with a socket of its own. */
import { makeBoard } from '../dist/lib/board.js'
import { optionsOf } from '../dist/lib/options.js'
import { type PlannedApp, restingArgv, workerArgv } from '../dist/lib/plan.js'
import { posix, resting } from '../dist/lib/posix.js'

const [count, script] = process.argv.slice(2) as [string, string]

/** The lowest socket: below it are standard input, output and error, and the board. */
const FIRST = 4

const { listen, backlog, deferAccept, ...config } = optionsOf({ quiet: true })
const board = makeBoard(Number(count))
const fds = [0, 1, 2, board]
const apps: PlannedApp[] = []
for (let index = 0; index < Number(count); index++) {
  const fd = posix.socket(posix.AF_INET)
  posix.bind(fd, posix.AF_INET, '127.0.0.1', 0)
  posix.listen(fd, 4096)
  fds.push(fd)
  const app = { ...config, script, name: `app${index}` }
  apps.push({ config: app, groups: [1], version: '', worker: workerArgv(script, []), user: '', folder: '', env: {} })
}
const argv = restingArgv({ ready: '', quiet: true, first: FIRST, board: 3, files: [], reload: [], apps })
posix.exec(resting, argv, [`PATH=${process.env.PATH}`], fds)
