/** Listening addresses as people write them, and the times and sizes of the options: text in, values out. */
import path from 'node:path'
import { Misuse } from './errors.js'

export type Address =
  /** No host: every address of the machine, IPv6 and IPv4. */
  | { kind: 'tcp'; text: string; host?: string; port: number }
  | { kind: 'unix'; text: string; path: string }
  /** A socket that is given to us, by what it is called: see activation.ts. */
  | { kind: 'name'; text: string; name: string }

/** The most bytes of a unix socket's path (sun_path, with its NUL). */
const MAX_PATH = 107

const FORMS = 'PORT, HOST:PORT, [V6]:PORT, /path, unix:/path or name=NAME'

/** @throws Misuse naming the text and what is wrong with it */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:') || text.startsWith('/') || text.startsWith('./')) {
    const file = path.resolve(text.replace(/^unix:/, ''))
    if (text === 'unix:') throw new Misuse(`cannot listen on ${text}: the path is missing`)
    if (Buffer.byteLength(file) > MAX_PATH) {
      throw new Misuse(`cannot listen on ${text}: the path is longer than ${MAX_PATH} bytes`)
    }
    return { kind: 'unix', text: file, path: file }
  }
  if (text.startsWith('name=')) {
    const name = text.slice('name='.length)
    if (!/^[^:\s]+$/.test(name)) throw new Misuse(`cannot listen on ${text}: a name has no colon and no space`)
    return { kind: 'name', text, name }
  }
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d+)$/.exec(text)
  if (!match) throw new Misuse(`cannot listen on ${JSON.stringify(text)}: an address is ${FORMS}`)
  const port = Number(match[3])
  if (port > 65535) throw new Misuse(`cannot listen on ${text}: a port is at most 65535`)
  const host = match[1] ?? match[2]
  return host ? { kind: 'tcp', text, host, port } : { kind: 'tcp', text, port }
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** The longest time: within setTimeout's limit, and that of native/lookout.c. */
const MAX_TIME = 240 * 3_600_000

/** `30`, `30s`, `500ms`, `5m`, `1h` as ms. A time above 0 is never rounded to 0. */
export function parseTime(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim())
  if (!match) throw new Misuse(`a time is 30, 30s, 500ms, 5m or 1h, not ${JSON.stringify(text)}`)
  const ms = Number(match[1]) * UNITS[match[2] ?? 's']!
  if (ms > MAX_TIME) throw new Misuse(`a time is at most 240h, not ${text}`)
  return ms === 0 ? 0 : Math.max(1, Math.round(ms))
}

const SIZES: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** `512M`, `1G`, `300000K`, `1000000` as bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)B?$/i.exec(text.trim())
  if (!match) throw new Misuse(`a size is 512M, 1G or a number of bytes, not ${JSON.stringify(text)}`)
  const bytes = Math.round(Number(match[1]) * SIZES[match[2]!.toUpperCase()]!)
  if (bytes > 2 ** 50) throw new Misuse(`a size is at most 1048576G, not ${text}`)
  return bytes
}
