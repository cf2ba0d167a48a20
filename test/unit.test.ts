/** `lookout unit` as it prints: names, addresses, options, and what it refuses. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { templates } from '../lib/unit.js'
import { BIN, fixture, ROOT, temporaryFolder } from './support/lookout.js'
import { skipWithout } from './support/missing.js'

const APP = fixture('plain.js')

/** For a user's own manager: what anybody may read matters to that of the system alone (test/systemd has those). */
function unit(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'unit', '--user', ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** The values of a setting, in what is printed. */
function settings(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!)
}

/** An app in a folder of its own that anybody may read. */
function app(folderName: string, file: string): string {
  const folder = path.join(temporaryFolder(), folderName)
  fs.mkdirSync(folder)
  fs.chmodSync(path.dirname(folder), 0o755)
  fs.writeFileSync(path.join(folder, file), '')
  return path.join(folder, file)
}

describe('lookout unit', () => {
  it('prints both units, with absolute paths, these options, and nothing on stderr', () => {
    const script = app('shop', 'app.js')
    const relative = path.relative(process.cwd(), script)
    const { status, stdout, stderr } = unit(
      '--idle',
      '5m',
      '-w',
      '1:4',
      '--watch',
      '--stats-file',
      'stats',
      '--hooks',
      'package.json',
      relative,
    )
    expect([status, stderr]).to.deep.equal([0, ''])
    expect(stdout).to.match(
      /^# \S+\/systemd\/user\/shop\.socket\n# Made by lookout unit.*^# \S+\/systemd\/user\/shop\.service\n/ms,
    )
    const here = process.cwd()
    const options = `--name shop --idle 5m --workers 1:4 --stats-file ${here}/stats --hooks ${here}/package.json --watch`
    expect(settings(stdout, 'ExecStart')).to.deep.equal([
      `${process.execPath} ${fs.realpathSync(BIN)} ${options} ${script}`,
    ])
    expect(settings(stdout, 'ExecReload')).to.deep.equal([
      `${process.execPath} ${fs.realpathSync(BIN)} restart $MAINPID`,
    ])
    expect(settings(stdout, 'WorkingDirectory')).to.deep.equal([path.dirname(script)])
    expect(settings(stdout, 'ListenStream')).to.deep.equal(['127.0.0.1:3000', '[::1]:3000'])
    expect(settings(stdout, 'Backlog')).to.deep.equal(['4096'])
  })

  it('makes settings of the socket of what concerns it', () => {
    const addresses = ['-l', '80', '-l', '0.0.0.0:81', '-l', '[::1]:82', '-l', '/run/shop.sock', '-l', 'localhost:83']
    const { stdout } = unit(...addresses, '--backlog', '7', '--no-defer-accept', '--socket-mode', '660', APP)
    const streams = ['80', '0.0.0.0:81', '[::1]:82', '/run/shop.sock', '127.0.0.1:83', '[::1]:83']
    expect(settings(stdout, 'ListenStream')).to.deep.equal(streams)
    expect(settings(stdout, 'Backlog')).to.deep.equal(['7'])
    expect(settings(stdout, 'SocketMode')).to.deep.equal(['0660'])
    expect(settings(stdout, 'DeferAcceptSec')).to.deep.equal([])
    expect(settings(stdout, 'ExecStart')[0]).not.to.match(/listen|backlog|defer|mode/)
  })

  it('has the drain end before systemd loses patience', () => {
    expect(settings(unit('--grace', '2m', APP).stdout, 'TimeoutStopSec')).to.deep.equal(['125'])
  })

  for (const [file, folder, name] of [
    ['app.js', 'shop', 'shop'],
    ['index.mjs', 'shop', 'shop'],
    ['shop.js', 'code', 'shop'],
  ] as const) {
    it(`calls ${folder}/${file} ${name}`, () => {
      expect(settings(unit(app(folder, file)).stdout, 'Description')[1]).to.equal(name)
    })
  }

  it('asks a manager that is not root for what the kernel alone can do', () => {
    const { stdout } = unit(APP)
    expect(settings(stdout, 'DynamicUser')).to.deep.equal([])
    expect(settings(stdout, 'NoNewPrivileges')).to.deep.equal(['yes'])
  })

  for (const [args, complaint] of [
    [['nowhere.js'], 'cannot run nowhere.js: it is not there'],
    [
      ['-l', 'example.com:80', APP],
      'cannot listen on example.com:80 in a unit: systemd looks up no names, an IP address is wanted',
    ],
    [['-l', '0', APP], 'cannot listen on 0 in a unit: a port above 0 is wanted'],
    [['-l', 'name=web', APP], 'cannot listen on name=web in a unit: an address is wanted'],
    [['--name', 'my shop', APP], 'cannot name a unit "my shop": letters, digits and _ - . : are wanted (--name)'],
    [['--pid-file', '/run/x', APP], 'cannot use --pid-file in a unit: systemd knows the pid'],
    [['--install', '--remove', APP], 'cannot --install and --remove at once'],
    [['--idle', 'soon', APP], 'cannot use --idle: a time is 30, 30s, 500ms, 5m or 1h, not "soon"'],
    [[], "missing required argument 'app'"],
  ] as const) {
    it(`${args.join(' ').replace(APP, 'app.js') || 'nothing'}: exit 2, in one line`, () => {
      expect(unit(...args)).to.deep.equal({ status: 2, stdout: '', stderr: `lookout: ${complaint}\n` })
    })
  }

  it('--help lists its own options and those of lookout', () => {
    const { status, stdout } = unit('--help')
    expect(status).to.equal(0)
    for (const flag of ['--install', '--remove', '--user', '--idle']) expect(stdout).to.include(` ${flag} `)
  })
})

describe('systemd/', () => {
  for (const user of [false, true]) {
    const folder = path.join(ROOT, 'systemd', user ? 'user' : '')
    const files = { socket: path.join(folder, 'lookout@.socket'), service: path.join(folder, 'lookout@.service') }

    it(`${user ? 'user/ ' : ''}has the templates that lib/unit.ts makes (node scripts/units.js)`, () => {
      const texts = templates(user)
      for (const kind of ['socket', 'service'] as const)
        expect(fs.readFileSync(files[kind], 'utf8')).to.equal(texts[kind])
    })

    it(`${user ? 'user/ ' : ''}is clean under systemd-analyze verify`, function () {
      const { error } = spawnSync('systemd-analyze', ['--version'])
      skipWithout(this, error && 'systemd-analyze is needed')
      const env = { ...process.env, XDG_RUNTIME_DIR: temporaryFolder() }
      const words = ['verify', ...(user ? ['--user'] : []), files.socket, files.service]
      const { status, stderr } = spawnSync('systemd-analyze', words, { env, encoding: 'utf8' })
      expect([status, stderr]).to.deep.equal([0, ''])
    })
  }
})
