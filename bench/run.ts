/** `npm run bench`: lookout and its peers side by side, on this machine, on the Node that runs this. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { MEASURES } from './measures.ts'
import { endAll, scratch } from './processes.ts'
import { seriesTable, targetTable, verdicts } from './report.ts'
import type { Effort, Series } from './sampling.ts'
import * as servers from './servers.ts'

const FULL: Effort = { wakes: 15, loads: 5, seconds: 3, apps: 1000 }
const SMOKE: Effort = { wakes: 2, loads: 1, seconds: 1, apps: 50 }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false }, out: { type: 'string' } },
})

/** The machine, and the version of everybody who took part. */
function surroundings() {
  const kinds = Object.values(servers).filter(each => typeof each === 'object' && 'version' in each) as servers.Kind[]
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    machine: `${os.availableParallelism()} x ${os.cpus()[0]?.model}, ${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: os.release(),
    versions: Object.fromEntries(kinds.map(kind => [kind.name, kind.version() ?? 'not here'])),
  }
}

const names = positionals.length > 0 ? positionals : Object.keys(MEASURES)
const unknown = names.find(name => !(name in MEASURES))
if (unknown) {
  console.error(`bench: cannot measure ${unknown}: there is ${Object.keys(MEASURES).join(', ')}`)
  process.exit(2)
}

const around = surroundings()
const series: Series[] = []
for (const name of names) {
  process.stderr.write(`${name}\n`)
  try {
    series.push(...(await MEASURES[name]!(values.smoke ? SMOKE : FULL)))
  } catch (error) {
    console.error(`bench: cannot measure ${name}: ${(error as Error).message}`)
    process.exitCode = 1 // the others' figures are not lost for it
    await endAll()
  }
}
fs.rmSync(scratch, { recursive: true, force: true })
const judged = verdicts(series)
const { versions, ...rest } = around
console.log(Object.values(rest).join(', '))
console.log(
  Object.entries(versions)
    .map(([name, version]) => `${name}: ${version}`)
    .join('\n'),
)
console.log(`\n${seriesTable(series)}\n\n${targetTable(judged)}`)
if (values.out !== undefined) {
  const { chart } = await import('./chart.ts') // here: it is large, and would be collected while others are measured
  fs.writeFileSync(
    path.join(values.out, 'results.json'),
    `${JSON.stringify({ ...around, series, targets: judged }, null, 2)}\n`,
  )
  fs.writeFileSync(path.join(values.out, 'chart.svg'), chart(series, Object.values(rest).join(', ')))
}
