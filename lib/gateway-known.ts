/** What the gateway is told of the apps, by its environment: of many in several variables, for one has room for 128 kB. */
import type { Rules } from './rules.js'

/** An app, as the gateway knows it. */
export interface Known {
  name: string
  /** The names that it is reached by; the first is shown. */
  hosts: string[]
  /** The unix socket on which it is handed connections; a program that is none of Node's has none. */
  handoff?: string
  /** Where else it is. */
  urls: string[]
  /** How many addresses of its the gateway listens on in its place. */
  guarded: number
  rules?: Rules
  /** The gateway's own port, where it has one. */
  port?: number
}

export interface Told {
  /** Whether the gateway has an address of its own: then that is its first. */
  hasPort: boolean
  /** Whether the next is where metrics are served. */
  hasMetrics: boolean
  apps: Known[]
}

/** Characters of a variable at most: of three bytes each. */
const PIECE = 40_000

const PREFIX = 'LOOKOUT_GATEWAY_'

/** As variables. */
export function told(what: Told): Record<string, string> {
  const text = JSON.stringify(what)
  const count = Math.ceil(text.length / PIECE)
  const pieces = Array.from({ length: count }, (_, index) => text.slice(index * PIECE, (index + 1) * PIECE))
  return Object.fromEntries(pieces.map((piece, index) => [`${PREFIX}${index}`, piece]))
}

export function heard(env: NodeJS.ProcessEnv): Told {
  let text = ''
  for (let index = 0; env[`${PREFIX}${index}`] !== undefined; index++) text += env[`${PREFIX}${index}`]
  return JSON.parse(text)
}
