/** Who asks an app all the time, in every way: quickly, slowly, half, not at all. */
import http from 'node:http'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from '../support/client.js'
import { isRight, pathOf, type Question } from './app.js'
import { converse, type Heard, nothingYet, PATIENCE, type Part, type Target } from './conversation.js'
import { type Failed, KNOWN, type Model } from './model.js'
import type { Random } from './random.js'

/** ms between two requests of a client, at most. */
const PAUSE = 40

/** Bytes of a big body, and lines of a big answer: more than the kernel keeps for a connection. */
const BIG = 300_000
const LINES = 60_000

export class Violation extends Error {}

export interface Tally {
  requests: number
  /** How often each kind was asked. */
  kinds: Map<string, number>
  /** How often each excuse was taken. */
  excused: Map<string, number>
}

export function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Those of one app, by one way to it. */
export class Clients {
  #gate: Promise<void> | undefined
  #open: () => void = () => {}
  #isOver = false
  #inFlight = 0
  readonly #all: Promise<void>[] = []
  #next = 0
  /** When the connections that are kept were begun. */
  readonly #opened = new WeakMap<net.Socket, number>()

  /** @param blame is called with a failure that is not allowed */
  constructor(
    private readonly target: Target,
    private readonly random: Random,
    private readonly model: Model,
    private readonly tally: Tally,
    private readonly blame: (violation: Violation) => void,
  ) {}

  start(): void {
    this.#all.push(this.#again('fresh', () => this.#fresh()))
    this.#all.push(this.#again('slow', () => this.#slow()))
    this.#all.push(this.#keepAlive())
  }

  /** Nobody asks; resolves when everybody has an answer. */
  async pause(): Promise<void> {
    this.#gate ??= new Promise(resolve => {
      this.#open = resolve
    })
    while (this.#inFlight > 0) await sleep(5)
  }

  resume(): void {
    this.#gate = undefined
    this.#open()
  }

  /** Many at once, within so many ms, though others pause. */
  async burst(many: number, within: number): Promise<void> {
    const times = Array.from({ length: many }, () => this.random.next() * within)
    await Promise.all(
      times.map(async after => {
        await sleep(after)
        await this.#one('burst', () => this.#fresh())
      }),
    )
  }

  async stop(): Promise<void> {
    this.#isOver = true
    this.resume()
    await Promise.all(this.#all)
  }

  async #again(kind: string, ask: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await this.#gate
      await this.#one(kind, ask)
      await sleep(this.random.between(0, this.model.isDown ? 5 * PAUSE : PAUSE))
    }
  }

  async #one(kind: string, ask: () => Promise<void>): Promise<void> {
    this.#inFlight++
    count(this.tally.kinds, kind)
    try {
      await ask()
    } finally {
      this.#inFlight--
    }
  }

  #question(more: Partial<Question> = {}): Question {
    return { nonce: `${this.target.app}${this.target.host ? 'n' : 'p'}${this.#next++}`, ...more }
  }

  #head(question: Question): string {
    const { body } = question
    const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`
    const method = body === undefined ? 'GET' : 'POST'
    const host = this.target.host ?? 'localhost'
    return `${method} ${pathOf(question)} HTTP/1.1\r\nHost: ${host}\r\n${length}Connection: close\r\n\r\n`
  }

  async #fresh(): Promise<void> {
    const ms = this.random.chance(0.2) ? this.random.between(1, 300) : 0
    const question = this.#question({ ms })
    this.#judge(question, await converse(this.target, [{ text: this.#head(question), after: 0 }]))
  }

  async #slow(): Promise<void> {
    switch (this.random.between(0, 6)) {
      case 0:
        return this.#halfHead()
      case 1:
        return this.#slowBody()
      case 2:
        return this.#slowRead()
      case 3:
        return this.#leave(socket => socket.resetAndDestroy())
      case 4:
        return this.#leave(socket => socket.destroy(), this.#head(this.#question()).slice(0, 20))
      case 5:
        return this.#leave(socket => socket.resetAndDestroy(), this.#head(this.#question({ ms: 50 })))
      default:
        return this.#fresh()
    }
  }

  async #halfHead(): Promise<void> {
    const question = this.#question()
    const text = this.#head(question)
    const at = this.random.between(1, text.length - 1)
    const after = this.random.between(50, 700)
    const heard = await converse(this.target, [
      { text: text.slice(0, at), after: 0 },
      { text: text.slice(at), after },
    ])
    this.#judge(question, heard, true)
  }

  async #slowBody(): Promise<void> {
    const body = `${this.#next}`.padEnd(this.random.between(1, BIG), 'x')
    const question = this.#question({ body })
    const pieces = this.random.between(1, 8)
    const size = Math.ceil(body.length / pieces)
    const parts: Part[] = [{ text: this.#head(question), after: 0 }]
    for (let at = 0; at < body.length; at += size) {
      parts.push({ text: body.slice(at, at + size), after: this.random.between(0, 150) })
    }
    this.#judge(question, await converse(this.target, parts))
  }

  async #slowRead(): Promise<void> {
    const question = this.#question({ lines: this.random.between(1, LINES) })
    const parts = [{ text: this.#head(question), after: 0 }]
    this.#judge(question, await converse(this.target, parts, this.random.between(10, 800)))
  }

  /** Connects, may send something, waits for a while, and goes. */
  async #leave(how: (socket: net.Socket) => void, text = ''): Promise<void> {
    const socket = net.connect(this.target.port, '127.0.0.1')
    const closed = new Promise(resolve => socket.on('close', resolve))
    socket.on('error', () => {})
    socket.write(text)
    await sleep(this.random.between(0, 400))
    how(socket)
    await closed
  }

  /** One connection for as long as it lasts. */
  async #keepAlive(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    await this.#again('keep-alive', () => this.#reuse(agent))
    agent.destroy()
  }

  async #reuse(agent: http.Agent): Promise<void> {
    const question = this.#question()
    const heard = nothingYet()
    let isReused = false
    const made = (outgoing: http.ClientRequest) =>
      outgoing.once('socket', socket => {
        isReused = outgoing.reusedSocket
        heard.openedAt = this.#opened.get(socket) ?? heard.begunAt
        heard.port = socket.localPort
        this.#opened.set(socket, heard.openedAt)
        if (!socket.connecting) return
        socket.once('connect', () => {
          heard.port = socket.localPort
        })
      })
    try {
      const { app, port, host = app } = this.target
      const signal = AbortSignal.timeout(PATIENCE)
      const options = { agent, headers: { Host: host }, signal, made }
      const { status, headers, body } = await request(`http://127.0.0.1:${port}`, pathOf(question), options)
      Object.assign(heard, { status, isPutOff: status === 503 && headers['retry-after'] !== undefined, body })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      heard.error = code ?? message
    }
    this.#judge(question, { ...heard, endedAt: performance.now() }, isReused, isReused)
  }

  /** @param wasOpen its connection may have been made when the app said something else */
  #judge(question: Question, heard: Heard, isStale = false, wasOpen = false): void {
    this.tally.requests++
    const { app, host } = this.target
    const said = this.model.mayHaveSaid(app, heard.begunAt - (wasOpen ? 10_000 : 0))
    const isAnswered = heard.error === undefined && heard.status === 200
    if (isAnswered && isRight(heard.body, app, question, said)) return
    const what = heard.error ?? `${heard.status} ${JSON.stringify(heard.body.slice(0, 500))}`
    const failed: Failed = { ...heard, app, byName: host !== undefined, what, isStale: isStale && !isAnswered }
    setTimeout(() => {
      const excuse = isAnswered ? undefined : this.model.excuse(failed)
      if (excuse !== undefined) return count(this.tally.excused, excuse)
      const age = (at: number) => `${(at / 1000).toFixed(3)} s`
      const times = `opened ${age(failed.openedAt)}, begun ${age(failed.begunAt)}, ended ${age(failed.endedAt)}`
      const way = `${app} at ${this.target.port}${host ? ` by ${host}` : ''}, from port ${failed.port}`
      const asked = `${pathOf(question)}${question.body ? ` with ${question.body.length} bytes` : ''}`
      this.blame(new Violation(`${way}: ${asked}: ${what} (${times}${isStale ? ', no whole request' : ''})`))
    }, KNOWN)
  }
}
