/**
 * The table of faults: what is done to lookout, what must hold, and what was seen. Each row is a test that gives its figure; where
 * Node itself or node:cluster loses, it is put through the same, and its figure stands beside.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Context } from 'mocha'
import { ROOT } from './lookout.js'

/** What was seen; and what the baseline did, where there is one. */
export type Figure = string | { figure: string; baseline: string }

interface Row {
  number: number
  fault: string
  holds: string
  seen?: Figure
}

/** How many rows there are: a table with fewer is not written. */
const ROWS = 37

const FILE = path.join(ROOT, 'docs/faults.md')

const rows: Row[] = []

/**
 * @param number of the table, from 1
 * @param holds what must hold, as it is asserted
 * @param check throws where it does not; gives the figure
 */
export function fault(number: number, fault: string, holds: string, check: (this: Context) => Promise<Figure>): void {
  const row: Row = { number, fault, holds }
  rows.push(row)
  it(`${number}. ${fault}: ${holds}`, async function () {
    row.seen = await check.call(this)
    const { figure, baseline } = parts(row)
    console.log(`      ${figure}${baseline && `; without lookout: ${baseline}`}`)
  }).timeout(120_000)
}

function parts({ seen }: Row): { figure: string; baseline: string } {
  return typeof seen === 'object' ? seen : { figure: seen ?? 'not held', baseline: '' }
}

/** As it is published. */
function table(): string {
  const line = (row: Row) => {
    const { figure, baseline } = parts(row)
    return `| ${[row.number, row.fault, row.holds, figure, baseline].join(' | ')} |`
  }
  const sorted = rows.toSorted((one, other) => one.number - other.number)
  return `# Faults

What \`npm run test:faults\` does to lookout, what must hold, and what it saw: Node ${process.version}, ${os.availableParallelism()} processors,
${new Date().toISOString().slice(0, 10)}. Where there is a figure of Node's own, or of node:cluster's, the same was done to it in the same run.

| # | Fault | Must hold | Seen | Without lookout |
| --- | --- | --- | --- | --- |
${sorted.map(line).join('\n')}
`
}

/** What tests could leave that is no process: those are in hooks.ts. */
function files(): string[] {
  const temporary = fs.readdirSync(os.tmpdir()).filter(name => name.startsWith('lookout-test-'))
  return [...temporary, ...fs.readdirSync('/dev/shm').map(name => `/dev/shm/${name}`)]
}

let before: string[] = []

export const mochaHooks = {
  beforeAll(): void {
    before = files()
  },
  afterEach(): void {
    const left = files().filter(file => !before.includes(file))
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
  },
  afterAll(): void {
    const numbers = new Set(rows.filter(({ seen }) => seen !== undefined).map(({ number }) => number))
    console.log(`\n${table()}\n${numbers.size} of ${ROWS} rows held`)
    if (numbers.size === ROWS) fs.writeFileSync(FILE, table())
  },
}
