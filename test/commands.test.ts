/** Logs, top, completion and metrics: what is told of apps that are held, in a terminal, a shell and a scraper. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { Tail } from '../lib/tail.js'
import { request } from './support/client.js'
import { at, Folder, ports } from './support/folder.js'
import { BIN, cleanups, fixture, Lookout, ROOT, temporaryFolder, until } from './support/lookout.js'
import { skipWithout } from './support/missing.js'

const TALKS = `console.log('begins')
require('node:http').createServer((request, response) => {
  console.log('asked for ' + request.url)
  console.error('and it is an error')
  response.end('hello')
}).listen(3000)`

/** A folder with apps that say something. */
async function held(apps: Record<string, object>, rest: object = {}): Promise<Folder> {
  const folder = await Folder.make()
  fs.writeFileSync(path.join(folder.path, 'talks.js'), TALKS)
  fs.mkdirSync(path.join(folder.path, 'logs'))
  folder.configure(apps, rest)
  return folder
}

describe('a log', () => {
  it('has what the processes of its app say, and lookout has none of it', async () => {
    const folder = await held({ shop: { script: 'talks.js', log: 'logs/shop', idle: '300ms', workers: 2 } })
    const lookout = await folder.up()
    const url = folder.url('shop')
    await request(url, '/a')
    await until('at rest', () => folder.app('shop').state === 'rests')
    await request(url, '/b')
    await until('at rest', () => folder.app('shop').wakes === 2 && folder.app('shop').state === 'rests')
    const text = fs.readFileSync(path.join(folder.path, 'logs/shop'), 'utf8')
    for (const line of ['asked for /a', 'asked for /b', 'and it is an error']) expect(text).to.include(`${line}\n`)
    expect(text.match(/^begins$/gm)).to.have.length(4)
    expect(text).to.match(/^master \d+: ends: idle 300 ms$/m)
    expect(lookout.stdout + lookout.stderr).not.to.match(/begins|asked|error|master \d+:/)
  })

  it('may be a folder, in which each app has its own; and of a single app, --log', async () => {
    const folder = await held(
      { shop: { script: 'talks.js' }, blog: { script: 'talks.js' } },
      { defaults: { log: 'logs', idle: '30s' } },
    )
    await folder.up()
    await Promise.all(['shop', 'blog'].map(name => request(folder.url(name))))
    expect(fs.readdirSync(path.join(folder.path, 'logs')).sort()).to.deep.equal(['blog.log', 'shop.log'])
    const log = path.join(folder.path, 'logs')
    const lookout = await Lookout.start(['--name', 'alone', '--log', log, path.join(folder.path, 'talks.js')])
    await request(lookout.url)
    expect(fs.readFileSync(path.join(log, 'alone.log'), 'utf8')).to.match(/^begins\n/)
  })

  it('is put away when it is long and its app rests', async () => {
    const folder = await held({ shop: { script: 'talks.js', log: 'logs', idle: '100ms' } })
    await folder.up()
    const file = path.join(folder.path, 'logs/shop.log')
    fs.writeFileSync(file, 'x'.repeat(11 * 2 ** 20))
    await request(folder.url('shop'))
    await until('put away', () => fs.existsSync(`${file}.1`))
    await request(folder.url('shop'), '/after')
    expect(fs.readFileSync(file, 'utf8')).to.include('asked for /after')
  })

  it('that cannot be written is refused before anything is bound', () => {
    const { status, stderr } = spawnSync(process.execPath, [BIN, '--log', '/proc/no', fixture('plain.js')], {
      encoding: 'utf8',
    })
    expect([status, stderr]).to.deep.equal([1, 'lookout: cannot write /proc/no: ENOENT\n'])
  })

  it('whose folder is gone when the app wakes is no reason not to serve', async () => {
    const folder = await held({ shop: { script: 'talks.js', log: 'logs/shop' } })
    const lookout = await folder.up()
    fs.rmSync(path.join(folder.path, 'logs'), { recursive: true })
    expect((await request(folder.url('shop'))).body).to.equal('hello')
    expect(lookout.stderr).to.match(/^process \d+: cannot write \S+\/logs\/shop: ENOENT$/m)
    expect(lookout.stdout).to.include('begins\n')
  })
})

describe('lookout logs', () => {
  it('prints the last lines of some, or of all', async () => {
    const folder = await held({
      shop: { script: 'talks.js', log: 'logs/' },
      blog: { script: 'talks.js', log: 'logs/' },
      mute: { script: 'talks.js' },
    })
    fs.writeFileSync(path.join(folder.path, 'logs/shop.log'), 'one\ntwo\nthree\n')
    fs.writeFileSync(path.join(folder.path, 'logs/blog.log'), 'a\nb\n')
    await folder.up()
    expect(folder.run('logs', '-n', '2', 'shop').stdout).to.equal('two\nthree\n')
    expect(folder.run('logs', '--lines=1').stdout).to.equal('shop | three\nblog | b\n')
    expect(folder.run('logs', '-n', '0', 'shop').stdout).to.equal('')
    for (const [args, said] of [
      [['nobody'], 'there is no app nobody (lookout ls)'],
      [
        ['shop', 'mute'],
        'cannot show the log of mute: what it says is where its lookout writes ("log" in its configuration, or --log, names a file)',
      ],
      [['-n', 'many'], 'cannot print many lines: a number is wanted'],
      [['--nonsense'], 'usage: lookout logs [--follow] [--lines N] [NAME...]'],
    ] as const)
      expect(folder.run('logs', ...args)).to.deep.equal({ status: 2, stdout: '', stderr: `lookout: ${said}\n` })
  })

  it('tells apart the apps of two lookouts that have one name', async () => {
    const logged = { script: 'talks.js', log: 'logs/' }
    const [one, other] = [await held({ shop: logged }), await held({ shop: logged })]
    const pids = [(await one.up()).pid, (await other.up({ XDG_RUNTIME_DIR: one.runtime })).pid]
    for (const folder of [one, other]) fs.writeFileSync(path.join(folder.path, 'logs/shop.log'), `${folder.path}\n`)
    const lines = one.run('logs', 'shop').stdout.trim().split('\n')
    expect(lines.map(line => line.split(/ +[|] /))).to.have.deep.members([
      [`shop ${pids[0]}`, one.path],
      [`shop ${pids[1]}`, other.path],
    ])
  })

  it('--follow goes on with what is said, and over into the file that takes its place', async () => {
    const folder = await held({ shop: { script: 'talks.js', log: 'logs/' } })
    await folder.up()
    const file = path.join(folder.path, 'logs/shop.log')
    fs.writeFileSync(file, 'before\n')
    const { child, said } = terminal(folder, 'logs', '-f')
    await until('the last lines', () => said() === 'before\n')
    fs.appendFileSync(file, 'half ')
    fs.appendFileSync(file, 'a line\n')
    await until('a whole one', () => said() === 'before\nhalf a line\n')
    await request(folder.url('shop'), '/x')
    await until('what the app says', () => said().includes('\nasked for /x\n'))
    await until('what the master says, who has opened the file by then', () => /worker 0 pid \d+ ready/.test(said()))
    fs.renameSync(file, `${file}.1`)
    fs.writeFileSync(file, 'anew\n')
    await until('the next file', () => said().endsWith('\nanew\n'))
    child.kill('SIGINT')
  })

  it('reads a file of any length, in whatever pieces', () => {
    const file = path.join(temporaryFolder(), 'log')
    const tail = new Tail(file)
    expect(tail.last(3)).to.deep.equal([])
    expect(tail.next()).to.deep.equal([])
    fs.writeFileSync(file, 'ä'.repeat(400_000))
    expect(tail.next()).to.deep.equal([])
    fs.appendFileSync(file, '\nshort\nunfinished')
    expect(tail.next().map(({ length }) => length)).to.deep.equal([400_000, 5])
    expect(new Tail(file).last(2)[1]).to.equal('short')
    fs.appendFileSync(file, `\n${'line\n'.repeat(300_000)}`)
    expect(tail.next()).to.have.length(300_001)
    const end = new Tail(file)
    expect(end.last(2)).to.deep.equal(['line', 'line'])
    fs.truncateSync(file, 0)
    fs.appendFileSync(file, 'cut off\n')
    expect(end.next()).to.deep.equal(['cut off'])
  })
})

/** A command beside us, and what it has printed. */
function terminal(folder: Folder, ...args: string[]): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, ...folder.env } })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', chunk => (text += chunk))
  cleanups.push(() => void child.kill('SIGKILL'))
  return { child, said: () => text }
}

describe('lookout top', () => {
  it('shows the apps as they are, those that are awake first, and leaves the terminal as it was', async () => {
    const folder = await held({ shop: { script: 'talks.js' }, blog: { script: 'talks.js', log: 'logs' } })
    await folder.up()
    // A terminal, by util-linux.
    const words = `stty cols 60 rows 20; exec '${process.execPath}' '${BIN}' top`
    const child = spawn('script', ['-qec', words, '/dev/null'], { env: { ...process.env, ...folder.env } })
    cleanups.push(() => void child.kill('SIGKILL'))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', chunk => (text += chunk))
    const screen = () => text.split('\u001b[H\u001b[J').at(-1)!.split('\r\n')
    await until('all at rest', () => screen()[0]?.startsWith('3 apps, 0 awake; 0 MB'))
    expect(screen()[2]).to.match(/^NAME +STATE +PID +CPU +MEMORY +REQUESTS +\/S +WAKES/)
    await request(folder.url('blog'))
    await until('one awake', () => /^3 apps, 1 awake; \d+ MB, \d+% of a processor$/.test(screen()[0]!))
    await until('it is first', () => /^blog +awake +\d+ +\d+% +\d+ MB +1 /.test(screen()[3]!))
    for (const line of screen()) expect(line.length, line).to.be.at.most(60)
    const ended = new Promise(resolve => child.once('close', resolve))
    child.stdin.write('q')
    expect(await ended).to.equal(0)
    expect(text.startsWith('\u001b[?1049h\u001b[?25l')).to.equal(true)
    expect(text.endsWith('\u001b[?25h\u001b[?1049l')).to.equal(true)
    expect(folder.app('shop').wakes).to.equal(0)
  })

  it('wants a terminal', async () => {
    const folder = await held({ shop: { script: 'talks.js' } })
    expect(folder.run('top')).to.deep.equal({
      status: 2,
      stdout: '',
      stderr: 'lookout: cannot show top: a terminal is wanted (lookout ls)\n',
    })
  })
})

describe('lookout completion', () => {
  /** What a shell would offer for these words, of which the last is being typed. */
  async function offers(folder: Folder, shell: 'bash' | 'fish', ...words: string[]): Promise<string[]> {
    const bin = temporaryFolder()
    fs.symlinkSync(BIN, path.join(bin, 'lookout'))
    const file = path.join(bin, 'completion')
    fs.writeFileSync(file, folder.run('completion', shell).stdout)
    const script =
      shell === 'bash'
        ? `source ${file}; COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _lookout; printf '%s\\n' "\${COMPREPLY[@]}"`
        : `source ${file}; complete -C '${words.join(' ')}'`
    const env = {
      ...process.env,
      ...folder.env,
      HOME: bin,
      PATH: `${bin}:${path.dirname(process.execPath)}:${process.env.PATH}`,
    }
    const { status, stdout, stderr } = spawnSync(shell, ['-c', script], { encoding: 'utf8', env })
    expect([status, stderr]).to.deep.equal([0, ''])
    return stdout
      .split('\n')
      .filter(Boolean)
      .map(line => line.split('\t')[0]!)
  }

  for (const shell of ['bash', 'fish'] as const) {
    it(`in ${shell}: commands, options, and the names of apps`, async function () {
      skipWithout(this, spawnSync(shell, ['-c', 'true']).status === 0 ? undefined : `${shell} is needed`)
      const folder = await held({ shop: { script: 'talks.js' }, blog: { script: 'talks.js' } })
      await folder.up()
      expect(await offers(folder, shell, 'lookout', 'st')).to.include.members(['status', 'stop'])
      expect(await offers(folder, shell, 'lookout', 'status', 'sh')).to.deep.equal(['shop'])
      expect(await offers(folder, shell, 'lookout', 'restart', '')).to.include.members(['shop', 'blog', 'lookout'])
      expect(await offers(folder, shell, 'lookout', '--idle-')).to.deep.equal(['--idle-upgraded'])
      expect(folder.app('shop').wakes).to.equal(0)
    })
  }

  it('in zsh, as it is typed', async function () {
    skipWithout(this, spawnSync('zsh', ['-c', 'true']).status === 0 ? undefined : 'zsh is needed')
    const folder = await held({ shop: { script: 'talks.js' }, blog: { script: 'talks.js' } })
    await folder.up()
    const home = temporaryFolder()
    fs.symlinkSync(BIN, path.join(home, 'lookout'))
    fs.writeFileSync(path.join(home, 'completion'), folder.run('completion', 'zsh').stdout)
    for (const [typed, completed] of [
      ['lookout sta', 'lookout status'],
      ['lookout status sh', 'lookout status shop'],
      ['lookout --idle-', 'lookout --idle-upgraded'],
    ] as const) {
      const script = `zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "source completion; echo its''elf"
        zpty -r shell out '*itself*'
        zpty -w -n shell $'${typed}\\t'
        zpty -r shell out '*${completed}*' && echo completed
        zpty -d shell`
      const env = {
        ...process.env,
        ...folder.env,
        HOME: home,
        TERM: 'dumb',
        PATH: `${home}:${path.dirname(process.execPath)}:${process.env.PATH}`,
      }
      const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], {
        encoding: 'utf8',
        env,
        cwd: home,
        timeout: 10_000,
      })
      expect([stdout, stderr], typed).to.deep.equal(['completed\n', ''])
    }
  })

  it('knows every command that there is', () => {
    const files = fs.readdirSync(path.join(ROOT, 'lib/commands')).map(file => path.basename(file, '.ts'))
    const { stdout } = spawnSync(process.execPath, [BIN, 'completion', 'fish'], { encoding: 'utf8' })
    const told = [...stdout.matchAll(/__fish_use_subcommand -a (\w+)/g)].map(([, name]) => name)
    expect(told).to.have.members(files)
    for (const name of files) {
      const { status, stdout } = spawnSync(process.execPath, [BIN, name, '--help'], { encoding: 'utf8' })
      expect([status, stdout.startsWith(`Usage: lookout ${name}`)], name).to.deep.equal([0, true])
    }
  })
})

describe('metrics', () => {
  it('are served at the address of a configuration, or of --metrics; nobody is woken but the gateway', async () => {
    const folder = await held({ shop: { script: 'talks.js' } })
    const [one, two] = await ports(2)
    folder.configure(
      { shop: { script: 'talks.js' } },
      { metrics: one, gateway: false, apps: { shop: { script: 'talks.js', listen: two } } },
    )
    await folder.up()
    const { status, body, headers } = await request(at(one!), '/metrics')
    expect([status, headers['content-type']]).to.deep.equal([200, 'text/plain; version=0.0.4; charset=utf-8'])
    expect(body).to.match(/^lookout_awake\{app="shop",lookout="\d+"\} 0$/m)
    expect((await request(at(one!))).status).to.equal(404)
    expect(folder.app('shop').wakes).to.equal(0)
    expect((await request(at(two!))).body).to.equal('hello')
    expect((await request(at(one!), '/metrics')).body).to.match(
      /^lookout_requests_total\{app="shop",lookout="\d+"\} 1$/m,
    )
  })

  it('--metrics outlives a reload', async () => {
    const folder = await held({ shop: { script: 'talks.js' } })
    const [port] = await ports(1)
    const lookout = Lookout.spawn(['up', '--metrics', `localhost:${port}`], { cwd: folder.path, env: folder.env })
    await lookout.line(/^lookout \d+: 1 app at rest$/m)
    folder.configure({ shop: { script: 'talks.js' }, blog: { script: 'talks.js' } })
    expect(folder.run('reload').status).to.equal(0)
    expect((await request(at(port!), '/metrics')).body).to.include('lookout_awake{app="blog"')
  })
})
