/**
 * A worker: preloaded by `node --require` before the app, which is the real main module. It gives the app's servers
 * lookout's sockets, tells the master how things stand, and drains when it is told to.
 *
 * Loaded in a process that lookout did not start (a child or a thread of the app), it does nothing.
 */

import type net from 'node:net'
import type { Admission } from './acceptor.js'
import { Activity } from './activity.js'
import { Balance } from './balance.js'
import { reasonsOf } from './busy.js'
import { awaitBegin, Channel, type ToMaster, type ToWorker } from './channel.js'
import { FOREVER, now } from './clock.js'
import { saveCompiled } from './compile-cache.js'
import { type AppConfig, inherited } from './config.js'
import { drainer } from './drain.js'
import { status } from './health.js'
import { hold } from './hold.js'
import { loadHooks, run } from './hooks.js'
import { checkInInterval } from './idle.js'
import { captureListen } from './listen.js'
import { tracer } from './log.js'
import { divert, endure } from './log-file.js'
import { measure } from './measure.js'
import { introduce } from './membership.js'
import { Overlooked } from './overlooked.js'
import { posix } from './posix.js'
import { report } from './report.js'
import { Field, Slot } from './slot.js'
import { backlogOf, inherit, scrub } from './sockets.js'
import { limitTime } from './time-limits.js'
import { saysFor } from './watchdog.js'

/** ms after the app was loaded for it to listen by itself, before its export is served. */
const LISTENS_BY_ITSELF = 1000

/** ms between two measurements of what this process uses. */
const MEASURED = 1000

/** How many of node's own options are ours, this file being the last. */
const OPTIONS = 3

/** ms that a worker whose master is gone has to finish. */
const ORPHAN = 500

const config = inherited(process.env)
if (config && process.env.LOOKOUT_WORKER !== undefined) live(config, Number(process.env.LOOKOUT_WORKER))

function live(config: AppConfig, index: number): void {
  const { groups, channel: fd, slot: memory } = inherit(process.env)
  if (config.user !== undefined) awaitBegin(fd)
  scrub(process.env)
  forgetPreload()
  if (config.log !== undefined) {
    divert(config.log)
    endure()
  }
  process.title = `lookout worker ${index} ${config.name}`
  const trace = tracer(`worker:${index}`)
  trace('loads %s', config.script)

  const stats = mapped(memory, 'writing')
  const { words: slot } = stats
  const balance = new Balance(slot)
  const overlooked = new Overlooked(config.idleUpgraded, config)
  const activity = new Activity(slot, overlooked, roomAgain, () => channel.send({ type: 'answered', at: now() }))
  const timer = setInterval(checkIn, Math.min(checkInInterval(config.idle), saysFor(config.watchdog))).unref()
  const channel = new Channel<ToWorker, ToMaster>(fd, obey, meet)
  const drain = drainer(activity)
  const startup = report(
    message => channel.send(message),
    config.watch,
    () => posix.dup2(fd, 2),
  )
  const hooks = { ...loadHooks(config.hooks) }
  process.on('uncaughtExceptionMonitor', error => run(hooks, 'onError', error, activity.onlyRequest))
  const { acceptors, taken } = captureListen(groups, admit, listening, config.hosts)
  stats.write({ pid: process.pid, startedAt: now() })
  introduce({
    id: index,
    prefork: config.prefork,
    addresses: groups.length,
    sockets: groups.flatMap(({ fds }) => fds),
    ready,
    hold,
    isOrphaned: () => !channel.isOpen,
    hooks,
  })
  let stopped = false
  let detached = false
  // The kernel has us killed with the master, but no more where we have changed our user.
  channel.onGone = () => {
    if (detached) return
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN).unref()
    // Who waits to be accepted waits for the next master: lookout has the sockets, too.
    obey({ type: 'stop', grace: ORPHAN, patience: 0, final: false, cut: true })
  }
  run(hooks, 'onStart')
  if (!config.program) serveExport(config.script, () => acceptors.size > 0)

  function admit(): Admission {
    if (config.maxConnections > 0 && slot[Field.connections]! >= config.maxConnections) return 'later'
    return balance.admit() ? 'now' : 'peer'
  }

  function meet(peer: number): void {
    try {
      balance.meet(mapped(peer, 'reading').words)
    } catch {
      // Without it connections are spread less evenly.
    }
  }

  function roomAgain(): void {
    for (const acceptor of acceptors) acceptor.roomAgain()
  }

  let measuredAt = now()
  let told = ''
  function checkIn(): void {
    const busy = activity.checkIn()
    if (now() - measuredAt < MEASURED) return
    measuredAt = now()
    const text = JSON.stringify(busy)
    if (told !== text) channel.send({ type: 'busy', busy })
    told = text
    stats.write({ ...measure(), backlog: backlogOf(groups), status: status() })
    if (config.firstDataTimeout > 0) activity.endSilent(config.firstDataTimeout)
  }

  function accept(on: boolean): void {
    slot[Field.accepting] = on ? 1 : 0
    for (const acceptor of acceptors) on ? acceptor.start() : acceptor.stop()
  }

  function serves(): void {
    slot[Field.accepting] = 1
    slot[Field.booted] = 1
    slot[Field.lastCheckin] = now()
    startup.done()
    saveCompiled()
  }

  function ready(): void {
    serves()
    channel.send({ type: 'ready', served: groups.map((_, index) => index) })
  }

  function listening(server: net.Server): void {
    limitTime(server, config)
    activity.watch(server)
    serves()
    // Before the first request, which may be the app's last.
    server.once('listening', () =>
      channel.send({ type: 'ready', served: [...taken].map(group => groups.indexOf(group)) }),
    )
  }

  function obey(message: ToWorker): void {
    trace('%o', message)
    switch (message.type) {
      case 'peer':
        return // it was met
      case 'quiet':
        if (stopped) return
        channel.keepAlive(true) // a socket that is not polled would not
        accept(false)
        return look()
      case 'resume':
        if (stopped) return
        accept(true)
        channel.keepAlive(false)
        return
      case 'detach':
        posix.prctl(posix.PR_SET_PDEATHSIG, 0)
        detached = true
        channel.send({ type: 'detached' })
        return obey({ type: 'stop', grace: FOREVER, patience: 0, final: false, cut: false })
      case 'stop':
        stopped = true
        if (message.reload) run(hooks, 'onReload')
        clearInterval(timer)
        channel.keepAlive(false)
        slot[Field.accepting] = 0
        for (const acceptor of [...acceptors]) {
          if (message.final) acceptor.takeAll()
          acceptor.letGo()
        }
        closeSockets(groups.flatMap(group => [...group.fds.splice(0), ...(group.handoff?.splice(0) ?? [])]))
        return drain(message)
    }
  }

  /** What was accepted or sent before the quiet has been read two turns of the event loop later. */
  function look(): void {
    setImmediate(() =>
      setImmediate(() => {
        const why = reasonsOf([activity.checkIn()])
        channel.send({ type: 'quieted', active: why.length > 0 ? null : activity.lastActive, why })
      }),
    )
  }
}

/** A slot, of which nothing else is left in this process. */
function mapped(fd: number, access: 'reading' | 'writing'): Slot {
  try {
    return new Slot(fd, access)
  } finally {
    posix.close(fd)
  }
}

/** Children that the app forks, and its threads, start as they would under plain node: without WORKER_OPTIONS of plan.ts. */
function forgetPreload(): void {
  const at = process.execArgv.indexOf(__filename)
  if (at > 0) process.execArgv.splice(at - OPTIONS + 1, OPTIONS)
}

/** With the last of lookout's that has them, who connects is refused, and another may bind. */
function closeSockets(fds: number[]): void {
  for (const fd of fds) posix.close(fd)
}

/** An app that has been loaded and does not listen may have exported what it serves with. */
function serveExport(script: string, listens: () => boolean): void {
  let attempted = false
  const attempt = async () => {
    if (attempted || listens()) return
    attempted = true
    const { exportsOfMain, serve } = require('./handler.js') as typeof import('./handler.js')
    await serve(await exportsOfMain(script))
  }
  // At once where nothing else keeps the app going; else after a while, for it may be about to listen.
  process.once('beforeExit', attempt)
  const wait = (then: () => void) => setTimeout(then, LISTENS_BY_ITSELF).unref()
  wait(() => wait(attempt)) // the first may be due as soon as a long load is over
}
