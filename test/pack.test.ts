/** The package as it is published: packed by npm, installed where there is no compiler, run from there. */
import { type ExecFileOptions, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { request } from './support/client.js'
import { cleanups, MARK, ROOT, until } from './support/lookout.js'

const NOT_SOURCE = ['.git', 'build', 'coverage', 'dist', 'node_modules', 'prebuilds']
const APP = "require('node:http').createServer((_, response) => response.end('unpacked')).listen(3000)\n"

/** The newest glibc that Node's own binaries of version 20 and later ask for. */
const GLIBC = 28

describe('the package', function () {
  this.timeout(180_000)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-pack-'))
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  const empty = path.join(folder, 'empty')
  const installed = path.join(empty, 'node_modules/lookout')

  /** npm, node and nothing else: no compiler, no shell. */
  const tools = path.join(folder, 'tools')
  const env = { ...outside(), PATH: tools }

  before('is packed from a copy of the tree, and installed', async () => {
    const tree = path.join(folder, 'tree')
    fs.cpSync(ROOT, tree, { recursive: true, filter: file => !NOT_SOURCE.includes(path.relative(ROOT, file)) })
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(tree, 'node_modules'))
    await run('npm', ['pack', '--pack-destination', folder], { cwd: tree, env: outside() })

    fs.mkdirSync(tools)
    fs.symlinkSync(process.execPath, path.join(tools, 'node'))
    fs.symlinkSync(which('npm'), path.join(tools, 'npm'))
    fs.mkdirSync(empty)
    fs.writeFileSync(path.join(empty, 'package.json'), '{}')
    fs.writeFileSync(path.join(empty, 'app.js'), APP)
    const tarball = fs.readdirSync(folder).find(name => name.endsWith('.tgz'))
    const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
    await run(path.join(tools, 'npm'), ['install', ...options, path.join(folder, tarball!)], { cwd: empty, env })
  })

  it('carries what runs, and neither tests nor what would make npm compile', () => {
    expect(fs.readdirSync(installed)).to.have.members([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin',
      'dist',
      'man',
      'package.json',
      'prebuilds',
      'schema',
      'systemd',
    ])
    expect(fs.readdirSync(path.join(installed, 'dist'))).to.deep.equal(['boot', 'lib'])
  })

  it('asks for no newer glibc than Node does', () => {
    const carried = fs.readdirSync(path.join(installed, 'prebuilds'), { recursive: true, encoding: 'utf8' })
    const addons = carried.filter(name => name.endsWith('/posix.glibc.node'))
    expect(addons).to.include(`linux-${process.arch}/posix.glibc.node`)
    for (const addon of addons) {
      const symbols = fs.readFileSync(path.join(installed, 'prebuilds', addon), 'latin1').matchAll(/GLIBC_2\.(\d+)/g)
      expect(Math.max(...[...symbols].map(([, minor]) => Number(minor))), addon).to.be.within(0, GLIBC)
    }
  })

  it('serves an app, from its own binaries', async () => {
    const [name, value] = MARK.split('=') as [string, string]
    const child = spawn('node_modules/.bin/lookout', ['-l', 'localhost:0', 'app.js'], {
      cwd: empty,
      env: { ...env, [name]: value },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = once(child, 'close')
    cleanups.push(() => void child.kill('SIGQUIT'))
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    const ready = await until('it rests', () => / rests at (.*)/.exec(stderr)).catch(error => {
      throw new Error(`${error.message}; it said:\n${stderr}`)
    })
    const program = path.join(installed, `prebuilds/linux-${process.arch}/lookout`)
    expect(fs.readlinkSync(`/proc/${child.pid}/exe`)).to.equal(fs.realpathSync(program))

    const reply = await request(ready[1]!)
    expect([reply.status, reply.body]).to.deep.equal([200, 'unpacked'])
    child.kill('SIGTERM')
    expect(await ended).to.deep.equal([0, null])
  })
})

/** npm's scripts say on stdout what is wrong. */
async function run(file: string, args: string[], options: ExecFileOptions): Promise<void> {
  await promisify(execFile)(file, args, options).catch(error => {
    throw new Error(`${error.message}\n${error.stdout}`)
  })
}

/** The environment as it was before npm test and c8 added to it. */
function outside(): NodeJS.ProcessEnv {
  const own = /^(npm_(package|lifecycle|config_local_prefix|command)|NODE_V8_COVERAGE$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
}

function which(command: string): string {
  const folder = process.env.PATH!.split(path.delimiter).find(folder => fs.existsSync(path.join(folder, command)))
  return path.join(folder!, command)
}
