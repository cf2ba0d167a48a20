/** What the fuzz targets begin with, as lookout itself would write it: node dist/test/native/fuzz/seeds.js makes corpus/ of it. */
import fs from 'node:fs'
import path from 'node:path'
import type { AppConfig } from '../../../lib/config.js'
import { nextArgv, type Plan, type PlannedApp, restingArgv, workerArgv } from '../../../lib/plan.js'
import { ROOT } from '../../support/lookout.js'

export const CORPUS = path.join(ROOT, 'test/native/fuzz/corpus')

/** The same on every machine. */
const anywhere = (word: string) => word.replaceAll(process.execPath, '/usr/bin/node').replaceAll(ROOT, '/lookout')

function app(name: string, { version = '1', groups = [1], ...rest }: Partial<PlannedApp> = {}): PlannedApp {
  const config = { name, script: `/${name}.js`, grace: 30_000 } as AppConfig
  return { config, groups, version, worker: workerArgv(config.script, ['-x']), user: '', folder: '', env: {}, ...rest }
}

function plan(apps: PlannedApp[], rest: Partial<Plan> = {}): Plan {
  return { ready: 'rests', quiet: false, first: 5, board: 3, files: [], reload: [], apps, ...rest }
}

const shop = app('shop', { groups: [2, 1], handoff: true, env: { COLOUR: 'blue' } })
const blog = app('blog', { folder: '/srv/blog' })
const held = { files: ['/run/lookout/7', '/run/shop.lock'], reload: ['/usr/bin/node', '/lookout/reload.js', 'up'] }
const before = plan([shop, blog], held)
const after = plan([{ ...shop, version: '2' }, blog, app('new')], held)

/** LIVE of apps: one that is awake, one that waits for its next try, one that is to leave. */
const LIVE = ['shop 1 100 10 30000 0 5000 0', 'blog 1 0 0 0 3 5000 9000', 'gone 1 101 11 0 0 4000 6000']

/** The argument vector of a body that took over, with these apps awake. */
function awake(of: Plan, live: string[]): string[] {
  const { argv, live: at } = nextArgv(of)
  return argv.toSpliced(at, 0, `${live.length}`, ...live.flatMap(text => text.split(' ')))
}

const ended = (words: string[]) => Buffer.from(words.map(word => `${anywhere(word)}\0`).join(''))

/** A message of a reload, see reload.c. */
function message(data: number, fds: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeInt32LE(data)
  bytes[4] = 4
  bytes[5] = fds
  return bytes
}

const DONE = message(-1, 0)

function reload(from: string[], to: Plan, fds: number[], flags = 0): Buffer {
  const { argv, live } = nextArgv(to)
  const messages = [...fds.map(count => message(live + 1, count)), DONE]
  const words = ended(['/lookout/lookout', ...argv])
  return Buffer.concat([Buffer.from([messages.length | flags]), ...messages, ended(from), Buffer.from([0xff]), words])
}

/** What happens to it, two bytes a thing: see life.c. */
const life = (from: string[], ...tape: number[]) => Buffer.concat([ended(from), Buffer.from([0xff, ...tape])])

/** By target and name. */
export function seeds(): Record<string, Record<string, Buffer>> {
  return {
    arguments: {
      one: ended(restingArgv(plan([app('one')]))),
      many: ended(restingArgv(before)),
      live: ended(awake(before, LIVE)),
    },
    life: {
      woken: life(restingArgv(before), 0, 0, 6, 20, 1, 0, 4, 0, 6, 20, 0, 3, 6, 20, 5, 0, 7, 1),
      told: life(restingArgv(plan([app('one')])), 0, 0, 6, 1, 3, 6, 3, 7, 6, 50, 3, 3, 9, 1, 6, 9, 3, 1, 6, 9, 3, 1),
      held: life(restingArgv(plan([app('one')])), 128, 0, 3, 6), // a connection and TSTP at once
      live: life(awake(before, LIVE), 8, 2, 0, 3, 7, 3, 8, 0, 5, 1, 3, 0, 7, 40),
    },
    reload: {
      rests: reload(restingArgv(before), before, [6]),
      same: reload(awake(before, LIVE), before, [6, 2], 8),
      other: reload(awake(before, LIVE), after, [9]),
      back: reload(awake(after, ['shop 2 100 10 30000 0 5000 0', 'shop 1 101 11 30000 0 4000 6000']), before, [6], 16),
    },
  }
}

if (require.main === module) {
  for (const [target, files] of Object.entries(seeds())) {
    fs.mkdirSync(path.join(CORPUS, target), { recursive: true })
    for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(path.join(CORPUS, target, name), bytes)
  }
}
