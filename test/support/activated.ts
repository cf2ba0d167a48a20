/** lookout with sockets that another program holds and gives to it (LISTEN_FDS), and with lies about them. */
import { type ChildProcess, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import fs from 'node:fs'
import path from 'node:path'
import { posix } from '../../lib/posix.js'
import { BIN, cleanups, MARK, temporaryFolder, until } from './lookout.js'

/** What is open in us is given to nobody: as descriptors of 3 and up. */
export interface Given {
  fds: number[]
  /** PID stands for that of the process itself. */
  env?: NodeJS.ProcessEnv
  args?: string[]
  /** Another lookout than that of the tests. */
  bin?: string
  /** A command in front of it. */
  under?: string[]
}

/** lookout, started with these descriptors; a shell knows its pid before it becomes node. */
export class Activated {
  stderr = ''
  readonly ended: Promise<number | null>
  #code: number | null | undefined

  private constructor(readonly child: ChildProcess) {
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ended = new Promise(resolve =>
      child.on('close', code => {
        this.#code = code
        resolve(code)
      }),
    )
    cleanups.push(async () => {
      if (this.#code === undefined) child.kill('SIGKILL')
      await this.ended
    })
  }

  static start(app: string, { fds, env = {}, args = [], bin = BIN, under = [] }: Given): Activated {
    const [name, value] = MARK.split('=') as [string, string]
    const { NODE_V8_COVERAGE, NODE_ENV, ...inherited } = process.env
    const given = { LISTEN_PID: 'PID', LISTEN_FDS: `${fds.length}`, ...env }
    const sets = Object.entries(given).map(([name, value]) => `${name}="${value === 'PID' ? '$$' : value}"`)
    const script = `export ${sets.join(' ')}; exec "$@"`
    const words = ['-c', script, 'sh', ...under, process.execPath, bin, ...args, app]
    return new Activated(
      spawn('sh', words, { env: { ...inherited, [name]: value }, stdio: ['ignore', 'inherit', 'pipe', ...fds] }),
    )
  }

  /** Waits for a line of its stderr. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`${pattern}`, () => pattern.exec(this.stderr)).catch(error => {
      throw new Error(`${error.message}; it said:\n${this.stderr}`)
    })
  }
}

/** A listening socket of ours that nobody accepts from, and where it is. */
export function listening(
  family = posix.AF_INET,
  host = '127.0.0.1',
  port = 0,
): { fd: number; url: string; port: number } {
  const fd = posix.socket(family)
  cleanups.push(() => posix.close(fd))
  posix.bind(fd, family, host, port)
  posix.listen(fd, 4096)
  const [, , bound] = posix.getsockname(fd)
  return { fd, url: family === posix.AF_UNIX ? `unix:${host}` : `http://127.0.0.1:${bound}`, port: bound }
}

/** Descriptors of what is no listening stream socket. */
const OTHERS = {
  file: async () => fs.openSync(path.join(temporaryFolder(), 'file'), 'w'),
  connected: async () => {
    const [connected, other] = posix.socketpair()
    cleanups.push(() => posix.close(other))
    return connected
  },
  udp: async () => {
    const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    cleanups.push(() => void udp.close())
    await until('bound', () => udp.address())
    const state = Object.getOwnPropertySymbols(udp).find(symbol => symbol.description === 'state symbol')!
    const { handle } = (udp as unknown as Record<symbol, { handle: { fd: number } }>)[state]!
    return posix.dup(handle.fd, 3)
  },
  bound: async () => posix.socket(posix.AF_INET),
}

const lie = (env: NodeJS.ProcessEnv, complaint: string, sockets = 1) => ({
  what: `${JSON.stringify(env)} with ${sockets}`,
  give: async (): Promise<Given> => ({ fds: Array.from({ length: sockets }, () => listening().fd), env }),
  complaint: new RegExp(`^lookout: cannot take over ${complaint}\n$`),
})

const other = (kind: keyof typeof OTHERS, complaint: string) => ({
  what: `a descriptor that is ${kind}`,
  give: async (): Promise<Given> => {
    const fd = await OTHERS[kind]()
    cleanups.push(() => posix.close(fd))
    return { fds: [listening().fd, fd], env: { LISTEN_FDNAMES: 'web:odd' } }
  },
  complaint: new RegExp(`^lookout: cannot take over descriptor 4, "odd": ${complaint}\n$`),
})

/** What may be given, and is no socket to be served, or not as it is said to be. */
export const LIES: { what: string; give(): Promise<Given>; complaint: RegExp }[] = [
  lie({ LISTEN_FDS: '-1' }, 'sockets: LISTEN_FDS is "-1", not 1 to 1024'),
  lie({ LISTEN_FDS: '0' }, 'sockets: LISTEN_FDS is "0", not 1 to 1024'),
  lie({ LISTEN_FDS: '1000000000' }, 'sockets: LISTEN_FDS is "1000000000", not 1 to 1024'),
  lie({ LISTEN_FDS: 'many' }, 'sockets: LISTEN_FDS is "many", not 1 to 1024'),
  lie({ LISTEN_FDS: '' }, 'sockets: LISTEN_FDS is "", not 1 to 1024'),
  lie({ LISTEN_FDS: '900' }, 'descriptor \\d+: it is (not open|no socket)'),
  lie({ LISTEN_FDNAMES: 'one:two' }, '1 sockets: LISTEN_FDNAMES has 2 names'),
  lie({ LISTEN_FDNAMES: 'web' }, '2 sockets: LISTEN_FDNAMES has 1 names', 2),
  other('file', 'it is no socket'),
  other('connected', 'it does not listen \\(Accept=no does\\)'),
  other('udp', 'it is no stream socket \\(ListenStream= is\\)'),
  other('bound', 'it does not listen \\(Accept=no does\\)'),
]
