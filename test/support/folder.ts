/** A folder with apps and their configuration, for `lookout up`. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { BIN, Lookout, type StartOptions, temporaryFolder } from './lookout.js'
import { freePort } from './program.js'

const APP = `const http = require('node:http')
http.createServer((request, response) => {
  const { pathname, search } = new URL(request.url, 'http://a')
  if (pathname === '/pid') return response.end(String(process.pid))
  if (pathname === '/slow') return setTimeout(() => response.end('slow'), Number(search.slice(1)))
  if (pathname === '/where') return response.end(JSON.stringify({ cwd: process.cwd(), args: process.argv.slice(2), env: process.env }))
  response.end(process.env.SAYS ?? 'hello')
}).listen(3000)
`

/** A folder with an app and a configuration that can be changed. */
export class Folder {
  readonly path = fs.realpathSync(temporaryFolder())
  /** Its lookouts are known there. */
  readonly runtime = path.join(this.path, 'run')
  readonly env = { XDG_RUNTIME_DIR: this.runtime }
  readonly file = path.join(this.path, 'lookout.config.json')

  private constructor(readonly gateway: number) {
    fs.mkdirSync(this.runtime)
    fs.writeFileSync(path.join(this.path, 'app.js'), APP)
  }

  static async make(): Promise<Folder> {
    return new Folder(await freePort())
  }

  configure(apps: object, rest: object = {}): void {
    fs.writeFileSync(this.file, JSON.stringify({ gateway: this.gateway, defaults: { idle: '30s' }, apps, ...rest }))
  }

  /** Where an app is, as `ls` says. */
  url(name: string): string {
    return this.app(name).urls[0]!.replace('localhost', '127.0.0.1')
  }

  async up(env: NodeJS.ProcessEnv = {}, options: StartOptions = {}): Promise<Lookout> {
    const lookout = Lookout.spawn(['up'], { ...options, cwd: this.path, env: { ...this.env, ...env } })
    await lookout.line(/^lookout \d+: \d+ apps? at rest$/m)
    return lookout
  }

  /** A command, as another process of the same user. */
  run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const env = { ...process.env, ...this.env }
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8', env })
    return { status, stdout, stderr }
  }

  /** The same, while this process serves or asks. */
  start(...args: string[]): Promise<{ code: number | null; text: string }> {
    const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, ...this.env } })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (text += chunk))
    return new Promise(resolve => child.on('close', code => resolve({ code, text })))
  }

  /** What `ls` says of an app. */
  app(name: string): {
    state: string
    urls: string[]
    master?: number
    wakes: number
    failures: number
    requests: number
    why: string
    rss: number
  } {
    return JSON.parse(this.run('ls', '--json').stdout).find((app: { name: string }) => app.name === name)
  }
}

export function at(port: number): string {
  return `http://127.0.0.1:${port}`
}

export async function ports(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) found.add(await freePort())
  return [...found]
}
