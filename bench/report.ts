/** What was measured against what was to be reached: the table. */
import Table from 'cli-table3'
import type { Series, Unit } from './sampling.ts'

interface Target {
  what: string
  measure: string
  /** Whose figure is judged. */
  server: string
  /** Divided by that of the better of these; judged as it is where there are none. */
  against: string[]
  /** `at most`, `at least`. */
  bound: 'most' | 'least'
  value: number
}

const rr = 'node:cluster'
const FIRST = 'first request, '

const most = (what: string, measure: string, value: number, against: string[] = [], server = 'lookout'): Target => ({
  what,
  measure,
  server,
  against,
  bound: 'most',
  value,
})

const least = (what: string, measure: string, value: number, against: string[], server = 'lookout'): Target => ({
  ...most(what, measure, value, against, server),
  bound: 'least',
})

const ASKED = ['node, started and asked']

/** `measure` is the beginning of its name. */
export const TARGETS: Target[] = [
  most('First request from rest, bare http', `${FIRST}hello`, 1.1, ['systemd-socket-activate + node']),
  most('First request from rest, Express', `${FIRST}express`, 0.95, ASKED),
  most('First request from rest, Fastify', `${FIRST}fastify`, 0.95, ASKED),
  most('First request from rest, 4 workers against 1', `${FIRST}hello`, 1.25, ['lookout'], 'lookout, 4 workers'),
  least('Keep-alive, 1 worker', 'keep-alive, 1', 1, [rr]),
  least('Keep-alive, 2 workers', 'keep-alive, 2', 1, [rr]),
  least('Keep-alive, 4 workers', 'keep-alive, 4', 1, [rr]),
  least(
    'Keep-alive by name, against by port',
    'keep-alive, 2 workers of',
    0.98,
    ['lookout, by port'],
    'lookout, by name',
  ),
  least('New connections, 4 workers', 'new connections', 2.5, [rr]),
  most('Spread of 64 connections over 4 workers', 'spread', 4),
  most('p99 at equal load', 'p99', 1, [rr]),
  most('Private dirty at rest, one app', 'private dirty memory at rest', 110),
  most('Private dirty at rest, each further app', 'private dirty memory, each', 2),
  most('From the end of idle to nothing but lookout', 'from the end', 150),
]

export interface Verdict {
  what: string
  unit: Unit
  lookout: number
  /** undefined where nobody is compared with. */
  peer: number | undefined
  /** What is compared with the target. */
  figure: number
  target: string
  met: boolean
}

export function median(samples: number[]): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function verdicts(series: Series[]): Verdict[] {
  const find = (measure: string, server: string) =>
    series.find(each => each.measure.startsWith(measure) && each.server === server)
  return TARGETS.flatMap(({ what, measure, server, against, bound, value }) => {
    const own = find(measure, server)
    const peers = against.map(peer => find(measure, peer)).filter(peer => peer !== undefined)
    if (!own || peers.length < against.length) return []
    const lookout = median(own.samples)
    const [peer] = peers.map(each => median(each.samples))
    const figure = peer === undefined ? lookout : lookout / peer
    const met = bound === 'most' ? figure <= value : figure >= value
    const sign = bound === 'most' ? '<=' : '>='
    return [
      {
        what,
        unit: own.unit,
        lookout,
        peer,
        figure,
        target: `${sign} ${value}${peer === undefined ? ` ${own.unit}` : ' x'}`,
        met,
      },
    ]
  })
}

const number = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)

/** A table without lines; the first columns are text, the others numbers. */
function table(head: string[], texts: number, rows: string[][]): string {
  const chars = Object.fromEntries(
    [
      'top',
      'top-mid',
      'top-left',
      'top-right',
      'bottom',
      'bottom-mid',
      'bottom-left',
      'bottom-right',
      'left',
      'left-mid',
      'mid',
      'mid-mid',
      'right',
      'right-mid',
    ].map(name => [name, '']),
  )
  const colAligns = head.map((_, column) => (column < texts ? 'left' : 'right')) as ('left' | 'right')[]
  const made = new Table({
    head,
    colAligns,
    chars: { ...chars, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  made.push(...rows)
  return made.toString()
}

export function seriesTable(series: Series[]): string {
  const rows = series.map(({ measure, server, unit, samples }, index) => [
    series[index - 1]?.measure === measure ? '' : measure,
    server,
    number(median(samples)),
    samples.length === 1 ? '' : `${number(Math.min(...samples))} to ${number(Math.max(...samples))}`,
    String(samples.length),
    unit,
    against(series, series[index]!),
  ])
  return table(['what', 'who', 'median', 'spread', 'n', 'unit', 'ratio'], 2, rows)
}

/** lookout's median divided by this one's. */
function against(all: Series[], { measure, server, samples }: Series): string {
  const ours = all.find(each => each.measure === measure && each.server === 'lookout')
  return ours && server !== 'lookout' ? `${number(median(ours.samples) / median(samples))} x` : ''
}

export function targetTable(all: Verdict[]): string {
  const rows = all.map(({ what, unit, lookout, peer, figure, target, met }) => [
    what,
    met ? 'met' : 'MISSED',
    number(lookout),
    peer === undefined ? '' : number(peer),
    unit,
    peer === undefined ? '' : `${figure.toFixed(2)} x`,
    target,
  ])
  return table(['target', '', 'lookout', 'peer', 'unit', 'ratio', 'to reach'], 2, rows)
}
