/** lookout with sockets that are given to it, as systemd would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { posix } from '../../lib/posix.js'
import { BIN, cleanups, MARK, until } from './lookout.js'

/** What is open in us is given to nobody: as descriptors of 3 and up. */
interface Given {
  fds: number[]
  /** PID stands for that of the process itself. */
  env?: NodeJS.ProcessEnv
  args?: string[]
  /** Another lookout than that of the tests. */
  bin?: string
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

  static start(app: string, { fds, env = {}, args = [], bin = BIN }: Given): Activated {
    const [name, value] = MARK.split('=') as [string, string]
    const { NODE_V8_COVERAGE, NODE_ENV, ...inherited } = process.env
    const given = { LISTEN_PID: 'PID', LISTEN_FDS: `${fds.length}`, ...env }
    const sets = Object.entries(given).map(([name, value]) => `${name}="${value === 'PID' ? '$$' : value}"`)
    const script = `export ${sets.join(' ')}; exec "$@"`
    const words = ['-c', script, 'sh', process.execPath, bin, ...args, app]
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
  posix.listen(fd, 100)
  const [, , bound] = posix.getsockname(fd)
  return { fd, url: family === posix.AF_UNIX ? `unix:${host}` : `http://127.0.0.1:${bound}`, port: bound }
}
