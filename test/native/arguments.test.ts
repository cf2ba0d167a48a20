/** An argument vector that is not as the contract says: exit 2, one line, and never a step out of bounds. */
import fs from 'node:fs'
import { expect } from 'chai'
import { posix } from '../../lib/posix.js'
import type { Ended } from '../support/lookout.js'
import { type App, argumentsOf, asBuilt, type Build, listenTcp, once, Resting, sanitized } from './resting.js'

const apps: App[] = [
  { ...once, env: ['A=1', 'B=2'] },
  { ...once, name: 'two', env: ['C='] },
]

const files = ['/nowhere/a', '/nowhere/b']
const valid = argumentsOf(apps, { files })
const first = argumentsOf(apps.slice(0, 1), { files }).length
/** Where LIVEC is: behind RELOADC, which is 0. */
const live = 6 + files.length
/** Where the first app begins. */
const begin = live + 1

/** Where the numbers are, and what is out of range there. */
const numbers = (() => {
  const found: [index: number, wrong: number[]][] = [
    [1, [2]],
    [2, [0, 2, 3, 1048577]],
    [3, [0, 2, 4]],
    [4, [65]],
    [live - 1, [65537]],
    [live, [8193]],
  ]
  for (const at of [begin, first]) {
    const worker = at + 8 + Number(valid[at + 6])
    found.push([at + 2, [0, 4097]], [at + 3, [1_000_000_001]], [at + 6, [1025]])
    found.push([worker - 1, [0, 65537]], [worker, [Number(valid[worker - 1]), 65536]])
  }
  return found
})()

const NO_NUMBER = ['', ' ', '-1', '-0', '+1', ' 1', '1 ', '1\n', '\t1', '0x1', '1e3', '1.0', 'one', '²', '2147483648']
const HUGE = ['4294967296', '4294967297', '9223372036854775808', '99999999999999999999', '9'.repeat(5000)]

/** No user: what is missing, too much, or out of range. */
const USERS = [
  '0',
  '1:1',
  '1:',
  ':1:1',
  'a:b:c',
  '1:1:,',
  '1:1:1 ',
  '-1:1:1',
  '4294967295:1:1',
  '1:4294967296:',
  `1:1:${Array(257).fill('1').join()}`,
]

function malformed(): string[][] {
  const wrong: string[][] = []
  for (let length = 0; length < valid.length; length++) if (length !== first) wrong.push(valid.slice(0, length))
  for (const [index, outOfRange] of numbers) {
    for (const word of [...NO_NUMBER, ...HUGE, ...outOfRange]) wrong.push(valid.with(index, `${word}`))
  }
  for (const entry of ['', 'A', 'no value']) wrong.push(valid.with(begin + 7, entry))
  for (const user of USERS) wrong.push(valid.with(begin + 4, user))
  for (const entry of ['', 'file']) wrong.push(valid.with(5, entry))
  wrong.push(valid.with(begin + 2, '3'), valid.with(begin + 2, '4096'), valid.with(2, '1048576')) // no such sockets
  const many = Array.from({ length: 1000 }, () => ['app', '1', '4096', '0', '', '', '0', '1', '0', '/app']).flat()
  wrong.push([...valid.slice(0, begin), ...many], [...valid.slice(0, begin), ...many, 'app'])
  return wrong
}

/** Always the same numbers below `limit`: a linear congruential generator. */
function random(): (limit: number) => number {
  let state = 1
  return limit => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Vectors that may be well-formed: one to three words dropped, doubled, swapped, or replaced. */
function mutated(count: number): string[][] {
  const next = random()
  return Array.from({ length: count }, () => {
    const words = [...valid]
    for (let changes = 1 + next(3); changes > 0; changes--) {
      const [at, other] = [1 + next(words.length - 1), 1 + next(words.length - 1)]
      const kinds = [[], [words[at]!, words[at]!], [words[other]!], [String(next(12))], ['']]
      words.splice(at, 1, ...kinds[next(kinds.length)]!)
    }
    return words
  })
}

/** Its end and what it said; what turns out to rest is told to end. */
async function outcome(build: Build, args: string[]): Promise<Ended & { stderr: string }> {
  const lookout = Resting.spawn(build, args, [listenTcp().fd, listenTcp().fd])
  const rests = await lookout.line(/: is ready$/).then(
    () => true,
    () => false,
  )
  const ended = await lookout.end(rests ? 'SIGTERM' : undefined)
  return { ...ended, stderr: lookout.stderr }
}

/** Runs them a few at a time. */
async function each(vectors: string[][], check: (args: string[]) => Promise<void>): Promise<void> {
  const rest = [...vectors]
  const run = async () => {
    for (let args = rest.pop(); args; args = rest.pop()) await check(args)
  }
  await Promise.all(Array.from({ length: 8 }, run))
}

const REFUSED = /^lookout \d+: cannot (read its arguments|rest): [^\n]+\n$/

const shown = (args: string[]) => JSON.stringify(args).slice(0, 1000)

for (const build of [asBuilt, sanitized]) {
  describe(`the resting program ${build.name}: its arguments`, () => {
    it('are refused with one line and exit 2 where they are malformed', async () => {
      const vectors = malformed()
      expect(vectors.length).to.be.above(250)
      await each(vectors, async args => {
        const { code, signal, stderr } = await outcome(build, args)
        expect({ code, signal }, shown(args)).to.deep.equal({ code: 2, signal: null })
        expect(stderr, shown(args)).to.match(REFUSED)
      })
    }).timeout(120_000)

    it('are refused where a descriptor does not listen', async () => {
      const [one, two] = [argumentsOf([once]), argumentsOf([{ ...once, sockets: 2 }])]
      const unheard = () => posix.socket(posix.AF_INET)
      const file = () => fs.openSync('/dev/null', 'r')
      for (const [args, fds] of [
        [one, []],
        [one, [unheard()]],
        [one, [file()]],
        [two, [listenTcp().fd, unheard()]],
        [two, [listenTcp().fd, file()]],
      ] as const) {
        const lookout = Resting.spawn(build, args, [], { below: [...fds] })
        for (const fd of fds) fs.closeSync(fd)
        expect(await lookout.end()).to.deep.equal({ code: 2, signal: null })
        expect(lookout.stderr).to.match(/^lookout \d+: cannot rest: a descriptor is no listening socket\n$/)
      }
    })

    it('are well-formed or refused, whatever they are', async () => {
      let refused = 0
      await each(mutated(300), async args => {
        const { code, signal, stderr } = await outcome(build, args)
        expect(signal, shown(args)).to.equal(null)
        expect([0, 2], `${shown(args)} ${stderr}`).to.include(code)
        expect(stderr, shown(args)).to.match(code === 2 ? REFUSED : /^lookout \d+: is ready\n$/)
        if (code === 2) refused++
      })
      expect(refused).to.be.within(150, 299)
    }).timeout(120_000)
  })
}
