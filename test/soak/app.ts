/** The app that is soaked, and what a right answer of it is. */
import { createHash } from 'node:crypto'

/** Answers with what it was asked, its name, what it is to say, and a digest of the body that it got. */
export const APP = `const http = require('node:http')
const { createHash } = require('node:crypto')
http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, 'http://a')
  const digest = createHash('sha256')
  request.on('data', chunk => digest.update(chunk)).on('end', () => setTimeout(() => {
    const line = [process.argv[2], searchParams.get('nonce'), process.env.SAYS, digest.digest('hex')].join(' ') + '\\n'
    response.end(line.repeat(Number(searchParams.get('lines') ?? 1)))
  }, Number(searchParams.get('ms') ?? 0)))
}).listen(3000)
`

/** What it is while it is broken. */
export const BROKEN = `throw new Error('not today')\n${APP}`

export interface Question {
  nonce: string
  /** Sent as the body of a POST; a GET without. */
  body?: string
  /** ms that the app takes. */
  ms?: number
  /** So often it says it. */
  lines?: number
}

export function pathOf({ nonce, ms = 0, lines = 1 }: Question): string {
  return `/?nonce=${nonce}&ms=${ms}&lines=${lines}`
}

/** @param says one of the texts that it may have been told to say */
export function isRight(
  text: string,
  name: string,
  { nonce, body = '', lines = 1 }: Question,
  says: string[],
): boolean {
  const digest = createHash('sha256').update(body).digest('hex')
  return says.some(said => text === `${[name, nonce, said, digest].join(' ')}\n`.repeat(lines))
}
