/** What is done to a lookout, at random. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, isAlive } from '../support/lookout.js'
import { Violation } from './clients.js'
import { IDLE, type Subject } from './subject.js'

export interface Action {
  name: string
  weight: number
  /** Those that cannot be done to the other. */
  only?: Subject['kind']
  /** Other things are done meanwhile. */
  aside?: boolean
  /** @returns to whom, or how */
  run(subject: Subject): Promise<string>
}

/** ms for any command: those that wait for something wait for 60 s. */
const COMMAND = 75_000

function signal(name: NodeJS.Signals, weight: number, only?: Subject['kind']): Action {
  return {
    name,
    weight,
    ...(only && { only }),
    async run({ lookout }) {
      lookout.signal(name)
      return ''
    },
  }
}

/** A command, to its end; it may fail only where something was done that makes it. */
async function command(subject: Subject, ...args: string[]): Promise<boolean> {
  const before = subject.disturbances
  const { model } = subject
  const mayFail = model.isFailing || subject.isWrong || model.isDown
  const late = sleep(COMMAND, undefined, { ref: false })
  const result = await Promise.race([subject.folder.start(...args), late])
  const said = `lookout ${args.join(' ')}`
  if (!result) throw new Violation(`${said}: no end after ${COMMAND} ms\n${subject.tail()}`)
  const { code, text } = result
  if (/^ +at .*:\d+:\d+\)?$/m.test(text) || (code !== 0 && code !== 1 && code !== 2))
    throw new Violation(`${said}: ${code} ${text}`)
  if (code !== 0 && !mayFail && subject.disturbances === before) {
    throw new Violation(`${said} failed with ${code}: ${text}${subject.tail()}`)
  }
  return code === 0
}

function ofApp(verb: string, weight: number, only?: Subject['kind']): Action {
  return {
    name: `lookout ${verb}`,
    weight,
    aside: true,
    ...(only && { only }),
    async run(subject) {
      const { name } = subject.random.pick(subject.apps)
      await command(subject, verb, name)
      return name
    },
  }
}

/** A new configuration, and `reload`. */
async function reload(subject: Subject): Promise<void> {
  const { disturbances } = subject
  subject.configure()
  const isDone = await command(subject, 'reload')
  if (isDone && disturbances === subject.disturbances) for (const { name } of subject.apps) subject.model.settled(name)
}

async function quiet(subject: Subject): Promise<void> {
  subject.disturbances++
  subject.lookout.signal('SIGTSTP')
  await sleep(subject.random.between(0, 600))
  subject.lookout.signal('SIGCONT')
  subject.disturbances++
}

export const ACTIONS: Action[] = [
  signal('SIGUSR1', 4),
  signal('SIGUSR2', 6),
  signal('SIGTTIN', 3),
  signal('SIGTTOU', 3),
  signal('SIGHUP', 3, 'up'),
  ofApp('restart', 4),
  ofApp('rest', 5),
  ofApp('wake', 3, 'up'),
  ofApp('status', 2),
  {
    name: 'lookout ls',
    weight: 2,
    aside: true,
    async run(subject) {
      await command(subject, 'ls')
      return ''
    },
  },
  {
    name: 'TSTP and CONT',
    weight: 3,
    async run(subject) {
      await quiet(subject)
      return ''
    },
  },
  { name: 'kill -9 of a worker', weight: 6, run: subject => subject.killWorker() },
  { name: 'kill -9 of a master', weight: 4, run: subject => subject.killMaster() },
  {
    name: 'STOP and CONT',
    weight: 6,
    aside: true,
    async run(subject) {
      const { random, awake } = subject
      const master = awake.length > 0 ? random.pick(awake) : undefined
      const pid = master === undefined ? undefined : random.pick([master, ...childrenOf(master)])
      if (pid === undefined) return 'nobody'
      subject.frozen.add(pid)
      if (isAlive(pid)) process.kill(pid, 'SIGSTOP')
      await sleep(random.between(10, 1200))
      if (subject.frozen.delete(pid) && isAlive(pid)) process.kill(pid, 'SIGCONT') // unless it is being killed
      return `${pid}`
    },
  },
  {
    name: 'the idle edge',
    weight: 10,
    async run({ clients, random }) {
      const times = Array.from({ length: random.between(1, 4) }, () => IDLE + random.between(-20, 60))
      await Promise.all(clients.map(client => client.pause()))
      for (const ms of times) {
        await sleep(ms) // what was asked last has just been answered: the first of the next is to meet the edge
        await Promise.all(clients.map(client => client.burst(random.between(2, 20), 30)))
      }
      for (const client of clients) client.resume()
      return `${times.join(', ')} ms`
    },
  },
  {
    name: 'a broken app, mended',
    weight: 2,
    aside: true,
    async run(subject) {
      const healthy = subject.apps.filter(({ name }) => !subject.broken.has(name))
      if (healthy.length === 0) return 'all are'
      const { name } = subject.random.pick(healthy)
      subject.break(name)
      if (subject.random.chance(0.5)) await command(subject, subject.random.pick(['rest', 'restart']), name)
      await sleep(subject.random.between(0, 2000))
      subject.mend(name)
      return name
    },
  },
  {
    name: 'a changed app, reloaded',
    weight: 5,
    only: 'up',
    async run(subject) {
      const app = subject.random.pick(subject.apps)
      app.says++
      subject.model.says(app.name, subject.saying(app))
      await reload(subject)
      return `${app.name} says ${app.says}`
    },
  },
  {
    name: 'an app more or fewer, reloaded',
    weight: 2,
    only: 'up',
    async run(subject) {
      subject.hasExtra = !subject.hasExtra
      await reload(subject)
      return subject.hasExtra ? 'more' : 'fewer'
    },
  },
  {
    name: 'a wrong configuration',
    weight: 2,
    only: 'up',
    async run(subject) {
      fs.writeFileSync(subject.folder.file, '{ "apps": {')
      subject.isWrong = true
      if (await command(subject, 'reload')) throw new Violation('lookout reload took a wrong configuration')
      subject.configure()
      subject.isWrong = false
      return ''
    },
  },
  {
    name: 'kill -9 of lookout',
    weight: 2,
    async run(subject) {
      await subject.killLookout()
      return `then ${subject.lookout.pid}`
    },
  },
  {
    name: 'the end of lookout',
    weight: 2,
    async run(subject) {
      const signal = subject.random.pick(['SIGTERM', 'SIGINT', subject.kind === 'one' ? 'SIGHUP' : 'SIGTERM'] as const)
      await subject.end(signal)
      await subject.again()
      return `${signal}, then ${subject.lookout.pid}`
    },
  },
]
