/**
 * The master as a service of systemd's, or of another that speaks sd_notify(3): says when it serves, how it is, that it lives.
 * Where NOTIFY_SOCKET is missing nobody wants to know.
 */
import { now } from './clock.js'
import { notify } from './notify.js'

/** ms between two requests for more time, while the app boots, and what each asks for. */
const EXTEND_EVERY = 5000
const EXTEND_BY = 30_000

/** ms that the end may take beyond the grace. */
const MARGIN = 2000

export class Service {
  readonly #env: NodeJS.ProcessEnv
  #isReady = false
  #status = ''

  /** @param isHealthy asked in good time before the watchdog's, where systemd has one on us; given the limit in ms */
  constructor(
    { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv,
    private readonly isHealthy: (limit: number) => boolean,
  ) {
    this.#env = { NOTIFY_SOCKET }
    if (!NOTIFY_SOCKET) return
    // systemd's own patience is no less than a few s; --boot-timeout is what ends a long boot.
    const extend = () => {
      if (!this.#isReady) this.#tell(`EXTEND_TIMEOUT_USEC=${EXTEND_BY * 1000}`)
    }
    setInterval(extend, EXTEND_EVERY).unref()
    const limit = Number(WATCHDOG_USEC) / 1000
    const isOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === `${process.pid}`
    if (limit > 0 && isOurs) setInterval(() => this.#ping(limit), limit / 3).unref()
  }

  #tell(...lines: string[]): void {
    notify(this.#env, lines.join('\n'))
  }

  #ping(limit: number): void {
    if (this.isHealthy(limit)) this.#tell('WATCHDOG=1')
  }

  /** Somebody answers who connects: a worker, or whoever stands in for an app that fails. */
  ready(status: string): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#tell('READY=1', `STATUS=${inLine(status)}`)
  }

  /** How it is, in a line. */
  status(text: string): void {
    if (text === this.#status) return
    this.#status = text
    this.#tell(`STATUS=${inLine(text)}`)
  }

  reloading(): void {
    this.#isReady = false
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${Math.round(now() * 1000)}`)
  }

  /** @param grace ms after which what has not ended is killed */
  stopping(grace: number, why: string): void {
    this.#tell('STOPPING=1', `EXTEND_TIMEOUT_USEC=${(grace + MARGIN) * 1000}`, `STATUS=${inLine(why)}`)
  }
}

/** What one assignment may hold. */
function inLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
