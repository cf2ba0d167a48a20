/** many.ts COUNT APP: becomes the resting program with COUNT apps, each with a socket of its own. */
import { makeBoard } from '../dist/lib/board.js'
import { optionsOf } from '../dist/lib/options.js'
import { restingArgv } from '../dist/lib/plan.js'
import { posix, resting } from '../dist/lib/posix.js'

const [count, script] = process.argv.slice(2) as [string, string]

/** Words of the program itself: its name, READY, QUIET, FIRST, BOARD, FILEC. */
const OWN = 6

/** The lowest socket: below it are standard input, output and error, and the board. */
const FIRST = 4

const { listen, backlog, deferAccept, ...config } = optionsOf({ quiet: true })
const board = makeBoard(Number(count))
const fds = [0, 1, 2, board]
const argv: string[] = []
for (let index = 0; index < Number(count); index++) {
  const fd = posix.socket(posix.AF_INET)
  posix.bind(fd, posix.AF_INET, '127.0.0.1', 0)
  posix.listen(fd, 4096)
  fds.push(fd)
  const app = { ...config, script, name: `app${index}` }
  const plan = restingArgv({ ready: '', first: FIRST, board: 3, files: [], config: app, groups: [1], args: [] })
  argv.push(...plan.slice(argv.length === 0 ? 0 : OWN)) // once
}
posix.exec(resting, argv, [`PATH=${process.env.PATH}`], fds)
