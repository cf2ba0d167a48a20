/** A program that uses the library, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { childrenOf, cleanups, MARK, ROOT, temporaryFolder, until } from './lookout.js'

/** A program that uses the library, and says what it does on stdout. */
export class Program {
  stdout = ''
  stderr = ''
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>

  private constructor(readonly child: ChildProcess) {
    child.stdout!.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.ended = new Promise(resolve => child.on('close', (code, signal) => resolve({ code, signal })))
    cleanups.push(async () => {
      child.kill('SIGKILL')
      await this.ended
    })
  }

  /** `body` has Cluster, Prefork, say(text), and does what it is told on stdin: each line is JavaScript. */
  static start(body: string): Program {
    const file = path.join(temporaryFolder(), 'program.js')
    fs.writeFileSync(
      file,
      `const { Cluster, Prefork } = require(${JSON.stringify(ROOT)})
      const say = text => console.log(text)
      ${body}
      require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
        Promise.resolve(eval(line)).then(result => say('done ' + result), error => say('failed ' + error.message))
      })`,
    )
    return Program.run([file])
  }

  static run(args: string[], variables: NodeJS.ProcessEnv = {}): Program {
    const [name, value] = MARK.split('=') as [string, string]
    const { NODE_V8_COVERAGE, ...env } = process.env
    return new Program(
      spawn(process.execPath, args, { env: { ...env, ...variables, [name]: value }, stdio: ['pipe', 'pipe', 'pipe'] }),
    )
  }

  async line(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`${pattern}`, () => pattern.exec(this.stdout)).catch(error => {
      throw new Error(`${error.message}; it said:\n${this.stdout}\n${this.stderr}`)
    })
  }

  /** Has it do something, and waits for the end of that. */
  async tell(line: string): Promise<string> {
    const before = this.stdout.length
    this.child.stdin!.write(`${line}\n`)
    await until(line, () => /^(done|failed) .*$/m.test(this.stdout.slice(before))).catch(error => {
      throw new Error(`${error.message}; it said:\n${this.stdout}\n${this.stderr}`)
    })
    return /^(done|failed) .*$/m.exec(this.stdout.slice(before))![0]
  }

  get children(): number[] {
    return childrenOf(this.child.pid!)
  }
}

/** A connection to a port, or a path: what it got until it was closed, and a way to write. */
export function connect(to: number | string): { socket: net.Socket; got(): string; closed: Promise<string> } {
  const socket = typeof to === 'number' ? net.connect(to, '127.0.0.1') : net.connect(to)
  let text = ''
  socket.setEncoding('utf8').on('data', chunk => {
    text += chunk
  })
  socket.on('error', () => {})
  cleanups.push(() => void socket.destroy())
  return { socket, got: () => text, closed: new Promise(resolve => socket.on('close', () => resolve(text))) }
}

/** A free port, which nobody else has asked for in this moment. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await until('it listens', () => server.listening)
  const { port } = server.address() as net.AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Echoes, begun by the child's pid; "bye" has it end, "orphaned" asks whether it is. */
export const ECHO = `(socket, address, child) => new Promise(resolve => {
  socket.write(child.pid + '\\n')
  socket.on('close', resolve)
  socket.on('data', data => {
    if (data.toString() === 'bye') resolve()
    else socket.write(data.toString() === 'orphaned' ? String(child.orphaned) + '\\n' : data)
  })
})`
