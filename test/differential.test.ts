/**
 * lookout is no party to HTTP: what an app answers behind it, to whatever is sent, is byte for byte what it answers under plain
 * `node app.js`, but for the date.
 */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { Folder } from './support/folder.js'
import { Lookout, temporaryFolder } from './support/lookout.js'
import { freePort, Program } from './support/program.js'
import { type RawOptions, raw } from './support/raw.js'
import { type Part, VECTORS, type Vector } from './support/vectors.js'

/** Says what it took for a request: had another been smuggled in, there would be an echo more. */
const ECHO = `require('node:http').createServer((request, response) => {
  let body = 0
  request.on('data', chunk => { body += chunk.length })
  request.on('end', () => {
    const { method, url, httpVersion, rawHeaders, rawTrailers } = request
    const [headers, trailers] = [rawHeaders.length / 2, rawTrailers.length / 2]
    response.end(JSON.stringify({ echo: method, url, httpVersion, headers, trailers, body }) + '\\n')
  })
}).listen(process.argv[2] ?? 3000, () => console.log('listens'))
`

type To = number | string

function app(): string {
  const file = path.join(temporaryFolder(), 'echo.js')
  fs.writeFileSync(file, ECHO)
  return file
}

/** Plain Node at a port, or a path. */
async function plain(to: To): Promise<To> {
  await Program.run([app(), `${to}`]).line(/listens/)
  return to
}

/** How a vector is sent. Who closes its side after it finds out what was still waited for; who does not, whether it is. */
const WAYS: Record<string, { options: RawOptions; cut(parts: Part[]): Part[] }> = {
  'at once': { options: { eof: true }, cut: joined },
  'in pieces': { options: { eof: true, pause: 5 }, cut: parts => joined(parts).flatMap(thirds) },
  'with our side left open': { options: { patience: 2000 }, cut: joined },
}

/** A request and what follows it are written at once. */
function joined(parts: Part[]): Part[] {
  const all: Part[] = []
  for (const part of parts) {
    const last = all.at(-1)
    if (typeof last === 'string' && typeof part === 'string') all[all.length - 1] = last + part
    else all.push(part)
  }
  return all
}

function thirds(part: Part): Part[] {
  if (part instanceof RegExp || part.length < 3) return [part]
  const third = Math.ceil(part.length / 3)
  return [part.slice(0, third), part.slice(third, 2 * third), part.slice(2 * third)]
}

/** Connections at a time. */
const MANY = 64

/** A vector, and how it is sent. */
interface Sending {
  vector: Vector
  way: string
  parts: Part[]
  options: RawOptions
}

const SENDINGS: Sending[] = Object.entries(WAYS).flatMap(([way, { options, cut }]) =>
  VECTORS.map(vector => ({ vector, way, options, parts: (vector.isWhole ? joined : cut)(vector.send) })),
)

/** What is answered to each, in order. */
async function answers(to: To): Promise<string[]> {
  const found: string[] = []
  let at = 0
  const client = async () => {
    while (at < SENDINGS.length) {
      const index = at++
      found[index] = await answer(to, SENDINGS[index]!)
    }
  }
  await Promise.all(Array.from({ length: MANY }, client))
  return found
}

/** Times that one is asked who resets the connection. */
const TRIES = 10

/** An answer and a reset race each other to us: the longest there is. */
async function answer(to: To, { parts, options }: Sending): Promise<string> {
  let longest = ''
  for (let tries = 0; tries < TRIES; tries++) {
    const { text, wasReset } = await raw(to, parts, options)
    if (text.length > longest.length) longest = text
    if (!wasReset) break
  }
  return longest.replace(/^Date: .*\r$/gm, 'Date: -\r')
}

/** ms between pieces where nobody is to read two at once, however busy the machine is. */
const LONG = 200

/** What the two answer to each, and how those vectors differ that they answer differently. */
async function compare(node: To, lookout: To, expected: object = {}): Promise<[string[], Map<string, string>]> {
  const [one, other] = [await answers(node), await answers(lookout)]
  const found = new Map<string, string>()
  const short = (text: string) => JSON.stringify(text.length > 600 ? `${text.slice(0, 600)}...` : text)
  for (const [index, sending] of SENDINGS.entries()) {
    const { vector, way, options } = sending
    let pair = [one[index]!, other[index]!] as const
    if (pair[0] === pair[1]) continue
    if (options.pause && !(vector.name in expected)) {
      const slowly = { ...sending, options: { ...options, pause: LONG } }
      pair = [await answer(node, slowly), await answer(lookout, slowly)]
      if (pair[0] === pair[1]) continue
    }
    found.set(vector.name, `${vector.name}, ${way}:\n  ${short(pair[0])}\n  ${short(pair[1])}`)
  }
  return [other, found]
}

/**
 * Through the gateway, a request is the app's where it is for one host, which is the app's: one Host field has its name, and so has
 * the target, where that is absolute. What Node refuses is refused as by Node. What is well-formed, and for no one host or another's,
 * does not reach the app: the first request of a connection is answered by the gateway, with 400 where it is for several hosts, and
 * with 404 (its page of apps) where it is for one that no app has; a later one with 421.
 */
const SEVERAL: [number[], string] = [[400], 'for several hosts']
const NOBODYS: [number[], string] = [[404], 'for a host that no app has']
const LATER: [number[], string] = [[200, 421], 'the second is not for the host of the first']

/** Those that plain Node takes, which knows of one app alone: the statuses of all answers, and why. */
const REFUSED: Record<string, [number[], string]> = {
  'request target (9112, 3.2): absolute, for another host': SEVERAL,
  'request target (9112, 3.2): absolute, with a user': SEVERAL,
  'request target (9112, 3.2): absolute, with our host as the user': SEVERAL,
  'request target (9112, 3.2): absolute, with no host': SEVERAL,
  'request target (9112, 3.2): absolute, with an IPv6 address': SEVERAL,
  'host (9112, 3.2; 9110, 7.2): twice': SEVERAL,
  'host (9112, 3.2; 9110, 7.2): two': SEVERAL,
  'host (9112, 3.2; 9110, 7.2): two, ours last': SEVERAL,
  'host (9112, 3.2; 9110, 7.2): empty': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): two in one': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): with a port that is none': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): with two ports': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): with a user': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): with a path': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): with a space in it': NOBODYS,
  'host (9112, 3.2; 9110, 7.2): that nobody knows': NOBODYS,
  'a last request (9112, 9.3, 9.6): HTTP/1.0, without a host': NOBODYS,
  'a last request (9112, 9.3, 9.6): HTTP/1.0, absolute, without a host': NOBODYS,
  'connection (9112, 9): one for another host after one': LATER,
  'connection (9112, 9): one with two hosts after one': LATER,
  'connection (9112, 9): one that is absolute, for another host, after one': LATER,
  'a later request: for another host': LATER,
  'a later request: for another host, to be upgraded': LATER,
  'a later request: for another host, with a body': LATER,
  'a later request: with two hosts': LATER,
  'a later request: absolute, for another host': LATER,
}

function report(where: string): void {
  console.log(`      ${VECTORS.length} vectors, each sent in ${Object.keys(WAYS).length} ways, ${where}`)
}

describe('HTTP, byte for byte as plain Node', () => {
  it('has vectors that tell servers apart: the same are refused, taken, waited for', async () => {
    const all = await answers(await plain(path.join(temporaryFolder(), 'node.sock')))
    const count = (pattern: RegExp) => all.filter(text => pattern.test(text)).length
    expect(new Set(VECTORS.map(({ name }) => name))).to.have.property('size', VECTORS.length)
    expect(count(/^HTTP\/1\.1 200 /), 'taken').to.be.above(200)
    expect(count(/^HTTP\/1\.1 400 /), 'refused').to.be.above(200)
    expect(count(/HTTP\/1\.1 200 .*HTTP\/1\.1 400 /s), 'refused after one was taken').to.be.above(8)
    expect(count(/\[open\]$/), 'waited for').to.be.above(5)
  })

  /** @throws where an answer by the one is not that by the other */
  async function alike(node: To, lookout: To): Promise<void> {
    const [, found] = await compare(node, lookout)
    if (found.size > 0) throw new Error([...found.values()].join('\n'))
  }

  it('by TCP', async () => {
    const lookout = await Lookout.start(['-l', '127.0.0.1:0', app()])
    await alike(await plain(await freePort()), lookout.port)
    report('by TCP')
  }).timeout(120_000)

  it('by a unix socket', async () => {
    const folder = temporaryFolder()
    const socket = path.join(folder, 'lookout.sock')
    await Lookout.start(['-l', socket, app()])
    await alike(await plain(path.join(folder, 'node.sock')), socket)
    report('by a unix socket')
  }).timeout(120_000)

  it('by name, wherever it is for one host', async () => {
    const folder = await Folder.make()
    fs.writeFileSync(path.join(folder.path, 'echo.js'), ECHO)
    folder.configure({ shop: { script: 'echo.js' } })
    await folder.up()
    const [ours, found] = await compare(await plain(await freePort()), folder.gateway, REFUSED)
    const unexpected = [...found].filter(([name]) => !(name in REFUSED)).map(([, how]) => how)
    if (unexpected.length > 0) throw new Error(unexpected.join('\n'))
    for (const [index, { vector, way }] of SENDINGS.entries()) {
      const { [index]: text = '' } = ours
      const { [vector.name]: [statuses] = [] } = REFUSED
      if (!statuses) continue
      const what = `${vector.name}, ${way}`
      expect(
        text.match(/HTTP\/1\.1 \d+/g)?.map(line => Number(line.slice(-3))),
        what,
      ).to.deep.equal(statuses)
      expect(text.split('"echo"').length - 1, `${what}: what reached the app`).to.equal(statuses.indexOf(200) + 1)
    }
    expect([...found.keys()], 'of those that are refused').to.have.members(Object.keys(REFUSED))
    report(`by name; ${found.size} of them are for no one host, and refused`)
  }).timeout(120_000)
})
