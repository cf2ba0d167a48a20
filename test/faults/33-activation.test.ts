import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { expect } from 'chai'
import { listening } from '../support/activated.js'
import { type Outcome, outcome } from '../support/client.js'
import { fault } from '../support/faults.js'
import { BIN, cleanups, fixture, MARK } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'

/** ms */
const IDLE = 50
const BURST = 200
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** As a socket unit: holds the socket, and has lookout started by each connection that finds nobody there. */
class SocketUnit {
  starts = 0
  said = ''
  readonly codes: (number | null)[] = []
  #child: ChildProcess | undefined
  #isOver = false
  readonly #ended: Promise<void>

  constructor(private readonly fd: number) {
    this.#ended = this.#run()
    cleanups.push(() => this.end())
  }

  async #run(): Promise<void> {
    while (!this.#isOver) this.codes.push(await this.#once())
  }

  /** It waits for a connection, and becomes lookout. */
  #once(): Promise<number | null> {
    const [name, value] = MARK.split('=') as [string, string]
    const command = [process.execPath, BIN, '--idle', `${IDLE}ms`, '-w', '2', fixture('plain.js')]
    const script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    const words = ['-c', script, 'sh', 'systemd-socket-activate', `-E${name}=${value}`, ...command]
    const child = spawn('sh', words, {
      env: { ...process.env, [name]: value },
      stdio: ['ignore', 'ignore', 'pipe', this.fd],
    })
    this.#child = child
    child.stderr!.setEncoding('utf8').on('data', text => {
      this.said += text
      this.starts += text.split(/ wakes plain\.js /).length - 1
    })
    return new Promise(resolve => child.on('close', resolve))
  }

  async end(): Promise<void> {
    this.#isOver = true
    this.#child?.kill('SIGTERM')
    await this.#ended
  }
}

describe('systemd-socket-activate', () => {
  fault(33, 'real activation', '0 of 10,000 lost over 50 starts and more, 2 workers', async function () {
    const { error } = spawnSync('systemd-socket-activate', ['--version'])
    skipWithout(this, error && 'systemd-socket-activate is needed')
    const { fd, url } = listening()
    const unit = new SocketUnit(fd)
    const counts: Partial<Record<Outcome, number>> = {}
    let total = 0
    const client = async (delay: number) => {
      await pause(delay)
      const result = await outcome(url, '/', ({ status, body }) => status === 200 && body === 'hello')
      counts[result] = (counts[result] ?? 0) + 1
      total++
    }
    for (let turn = 0; total < 10_000 || unit.starts < 50; turn++) {
      await Promise.all(Array.from({ length: BURST }, (_, index) => client((index / BURST) * 30)))
      await pause(IDLE - 10 + ((turn * 37) % 130)) // its end takes a while: the burst begins before, in the middle, after it
    }
    expect(counts, unit.said).to.deep.equal({ ok: total })
    await unit.end()
    expect(unit.codes.slice(0, -1), unit.said).to.deep.equal(Array(unit.codes.length - 1).fill(0))
    return `0 of ${total.toLocaleString('en')} lost, ${unit.starts} starts`
  })
})
