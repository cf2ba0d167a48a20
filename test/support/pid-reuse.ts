/**
 * Runs in a pid namespace of its own, as its first process: has a stranger take the pid of each process of lookout's that was
 * killed, gives lookout every reason to signal that, and says on stdout, as JSON, what became of the strangers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { awake, readied } from './awake.js'
import { request } from './client.js'
import { Folder } from './folder.js'
import { cleanups, fixture, isAlive, Lookout, temporaryFolder, until } from './lookout.js'

/** Leads a group, as a master does; says which signals it gets. */
const STRANGER = `const names = ['HUP', 'INT', 'TERM', 'USR1', 'USR2', 'QUIT', 'CONT', 'TTIN', 'TTOU', 'ABRT', 'WINCH']
for (const name of names) process.on('SIG' + name, () => console.log(name))
setInterval(() => {}, 1000)
console.log('there')`

const TRIES = 100

/** A process of the pid that was another's. */
class Stranger {
  said = ''

  private constructor(readonly child: ChildProcess) {
    child.stdout!.setEncoding('utf8').on('data', text => {
      this.said += text
    })
  }

  /** Others may fork in between: it is tried until it is the one. */
  static async of(pid: number): Promise<Stranger> {
    await until(`${pid} reaped`, () => !fs.existsSync(`/proc/${pid}`))
    for (let tries = 0; tries < TRIES; tries++) {
      fs.writeFileSync('/proc/sys/kernel/ns_last_pid', `${pid - 1}`)
      const child = spawn(process.execPath, ['--eval', STRANGER], {
        detached: true,
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      cleanups.push(() => void child.kill('SIGKILL'))
      const stranger = new Stranger(child)
      if (child.pid === pid) {
        await until('it is there', () => stranger.said !== '')
        return stranger
      }
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    throw new Error(`pid ${pid} was not to be had in ${TRIES} tries`)
  }

  /** Signals that it got, but for the one that is sent here, and behind all others; its death counts as one. */
  async signals(): Promise<string[]> {
    const heard = () => this.said.trim().split('\n').slice(1)
    if (!isAlive(this.child.pid!)) return [...heard(), 'killed']
    this.child.kill('SIGWINCH')
    await until('it heard that', () => heard().at(-1) === 'WINCH')
    return heard().slice(0, -1)
  }
}

const kill = async (pid: number) => {
  process.kill(pid, 'SIGKILL')
  await until(`${pid} gone`, () => !isAlive(pid))
}

/** A worker's pid: it is replaced, restarted, stopped. */
async function worker(): Promise<Stranger> {
  const lookout = await awake(2, ['--watchdog', '300ms', '--grace', '500ms', fixture('plain.js')])
  const [victim] = lookout.workers
  await kill(victim!)
  const stranger = await Stranger.of(victim!)
  await readied(lookout, 3)
  lookout.signal('SIGUSR2')
  await lookout.line(/restarted 2 workers/)
  lookout.signal('SIGTTOU')
  await lookout.line(/wants 1 worker/)
  await lookout.stop()
  return stranger
}

/** A master's pid, and its group's: the next one is woken, rests, is stopped; and the commands are told of it. */
async function master(): Promise<Stranger> {
  const folder = await Folder.make()
  folder.configure({ app: { script: 'app.js' } })
  const lookout = await folder.up()
  const url = folder.url('app')
  await request(url)
  await until('known', () => folder.app('app').master === lookout.master)
  const victim = lookout.master!
  await kill(victim)
  const stranger = await Stranger.of(victim)
  for (const command of ['ls', 'status', 'restart', 'rest', 'metrics']) {
    folder.run(command, ...(command === 'restart' || command === 'rest' ? ['app'] : []))
  }
  folder.run('rest', `${victim}`)
  folder.run('restart', `${victim}`)
  await request(url)
  await until('woken', () => lookout.count(/wakes app/) === 2)
  folder.run('rest', 'app')
  await request(url)
  await lookout.stop()
  return stranger
}

/** lookout's own, which a pid file still has. */
async function itself(): Promise<Stranger> {
  const file = path.join(temporaryFolder(), 'pid')
  const folder = await Folder.make()
  const lookout = await Lookout.start(['--pid-file', file, fixture('plain.js')], { env: folder.env })
  const pids = [lookout.pid]
  await request(lookout.url)
  pids.push(lookout.master!, ...lookout.workers)
  await kill(lookout.pid)
  await lookout.ended
  await until('all gone', () => !pids.some(isAlive))
  const stranger = await Stranger.of(lookout.pid)
  for (const command of ['restart', 'rest']) folder.run(command, file)
  for (const command of ['restart', 'rest', 'stop', 'reload']) folder.run(command, `${lookout.pid}`)
  folder.run('stop')
  return stranger
}

async function main(): Promise<void> {
  const result: Record<string, string[]> = {}
  for (const [name, take] of Object.entries({ worker, master, itself })) {
    result[name] = await (await take()).signals()
    for (let undo = cleanups.pop(); undo; undo = cleanups.pop()) await undo()
  }
  console.log(JSON.stringify(result))
}

main().then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  },
)
