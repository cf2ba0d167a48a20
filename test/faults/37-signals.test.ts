import fs from 'node:fs'
import { expect } from 'chai'
import { outcome } from '../support/client.js'
import { fault } from '../support/faults.js'
import { type Ended, fixture, isAlive, Lookout, until } from '../support/lookout.js'
import { number } from '../support/tally.js'

/** Lookouts at a time: most of a life is waiting. */
const AT_ONCE = 4

/** ms of idle: a life of wake, load, idle and exit is a few hundred. */
const IDLE = '40ms'

/** The end of lookout, and how it is told. */
const ENDING: [NodeJS.Signals, Ended][] = [
  ['SIGTERM', { code: 0, signal: null }],
  ['SIGINT', { code: 0, signal: null }],
  ['SIGHUP', { code: 0, signal: null }],
  ['SIGQUIT', { code: 131, signal: null }],
]

/** After these it goes on; how often each comes in one life: fewer times where it starts processes. */
const PASSING: [NodeJS.Signals, number][] = [
  ['SIGUSR1', 12],
  ['SIGUSR2', 3],
  ['SIGTTIN', 2],
  ['SIGTTOU', 12],
  ['SIGTSTP', 12],
  ['SIGCHLD', 12],
  ['SIGPIPE', 12],
  ['SIGWINCH', 12],
]

/** Children of the process, and of its own: those that have ended, and nobody has reaped. */
function zombiesOf(pid: number): number[] {
  try {
    const children = fs
      .readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
    return children.flatMap(child => [...(isAlive(child) ? [] : [child]), ...zombiesOf(child)])
  } catch {
    return []
  }
}

/** Waits that long after `start`, to the microsecond where it is a moment that is wanted. */
async function moment(start: number, offset: number): Promise<void> {
  const rest = start + offset - performance.now()
  if (rest > 3) await new Promise(resolve => setTimeout(resolve, rest - 2))
  while (performance.now() < start + offset);
}

/** One life: three clients wake it, ask twice each, and leave it to its idle exit. Each answer, or what became of it. */
async function life(lookout: Lookout): Promise<string[]> {
  const client = async () => [await outcome(lookout.url, '/slow?5', slow), await outcome(lookout.url, '/slow?5', slow)]
  return (await Promise.all([client(), client(), client()])).flat()
}

const slow = ({ body }: { body: string }) => body === 'slow'

const start = () => Lookout.start(['-w', '2', '--idle', IDLE, '--grace', '2s', fixture('plain.js')])

/** ms from the first connection to rest, of a life that nobody disturbs. */
async function span(): Promise<number> {
  const lookout = await start()
  const begun = performance.now()
  await life(lookout)
  await lookout.rests()
  const took = performance.now() - begun
  await lookout.stop()
  return took
}

/** ms after which something is wedged: three restarts of two workers take that long on a machine that is very busy. */
const PATIENCE = 60_000

/** Moments of a life at which each signal comes. */
const MOMENTS = 200

/** Numbers from 0 to 1, each another: however many are taken, they are spread evenly. */
function* spread(): Generator<number, never> {
  for (let at = 0; ; at = (at + 0.618034) % 1) yield at
}

describe('signals', () => {
  fault(
    37,
    `each signal at ${MOMENTS} moments of load, fork, exit`,
    'never wedged, the right exit code, 0 zombies',
    async function () {
      this.timeout(600_000)
      const length = await span()
      const figure = { signals: 0, lives: 0, answered: 0, ended: 0 }

      /** So many moments of a life, in order: ms from its beginning. */
      const moments = (parts: Generator<number, never>, count: number) => {
        figure.signals += count
        return Array.from({ length: count }, () => length * parts.next().value).sort((one, other) => one - other)
      }

      const goesOn = async (signal: NodeJS.Signals, parts: Generator<number, never>, times: number) => {
        const lookout = await start()
        for (let turn = 0; turn < 2; turn++) {
          const begun = performance.now()
          const answers = life(lookout)
          for (const offset of moments(parts, times)) {
            await moment(begun, offset)
            lookout.signal(signal)
            if (signal === 'SIGTSTP') lookout.signal('SIGCONT')
          }
          expect(await answers, `${signal}\n${lookout.stderr}`).to.deep.equal(Array(6).fill('ok'))
          figure.answered += 6
          await lookout.rests(PATIENCE)
          await until('reaped', () => zombiesOf(lookout.pid).length === 0, 500)
          figure.lives++
        }
        expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
      }

      const ends = async (signal: NodeJS.Signals, parts: Generator<number, never>, end: Ended) => {
        const lookout = await start()
        const begun = performance.now()
        const answers = life(lookout)
        await moment(begun, moments(parts, 1)[0]!)
        const pids = [lookout.master ?? [], lookout.workers].flat()
        lookout.signal(signal)
        const wedged = new Promise(resolve => setTimeout(resolve, PATIENCE, 'wedged').unref())
        expect(await Promise.race([lookout.ended, wedged]), `${signal}\n${lookout.stderr}`).to.deep.equal(end)
        await until('gone', () => !pids.some(isAlive), 1000)
        expect(await answers).to.not.include.members(['timeout', 'wrong', 'other'])
        figure.ended++
      }

      const ending = ENDING.flatMap(([signal, end]) => {
        const parts = spread()
        return Array.from({ length: MOMENTS }, () => () => ends(signal, parts, end))
      })
      const passing = PASSING.flatMap(([signal, times]) => {
        const parts = spread()
        return Array.from({ length: Math.ceil(MOMENTS / (2 * times)) }, () => () => goesOn(signal, parts, times))
      })
      const lives = [...ending, ...passing]
      const work = async () => {
        for (let next = lives.pop(); next; next = lives.pop()) await next()
      }
      await Promise.all(Array.from({ length: AT_ONCE }, work))
      return (
        `${number(figure.signals)} signals of ${ENDING.length + PASSING.length} kinds over ${Math.round(length)} ms of a life: ${figure.lives} went on, ` +
        `${figure.answered} of ${figure.answered} answered; ${figure.ended} of ${figure.ended} ended as they should`
      )
    },
  )
})
