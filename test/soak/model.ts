/** What may fail, and when: all that is done to a lookout is noted here before it is done, and each failure is judged by it. */

/** What became of a request that was not answered as it should be. */
export interface Failed {
  app: string
  /** It came by the gateway. */
  byName: boolean
  /** The client's own port, which tells its connection from others. */
  port: number | undefined
  /** ms, as the others: when its connection was begun. */
  openedAt: number
  begunAt: number
  endedAt: number
  /** An error's code, or what was wrong with the answer. */
  what: string
  /** 503 with Retry-After. */
  isPutOff: boolean
  /** There was no whole request: one more on a connection that was idle, or half a head. */
  isStale: boolean
}

interface Span {
  from: number
  to: number
}

/** lookout itself was down, or going down. */
interface Down extends Span {
  /** Clients' ports that were being served, and are to be. */
  kept: Set<number>
}

interface Text extends Span {
  text: string
}

export interface Ends {
  /** 0: long ago. */
  master: number
  app: string
  at: number
  why: string
}

/** ms for which an app that failed may answer 503: its back-off, and a boot. */
const BACKOFF = 15_000 + 5000

/** What a 503 may say: that the app is broken, or was killed. */
const REASONS = /not today|was killed by signal 9/

/** ms that a new configuration has to reach everybody. */
const LATE = 4000

/** ms between what a process does and its word of it. */
const SOON = 1500

export class Model {
  /** Clients' ports of connections that were killed with the process that had them. */
  readonly #killed = new Map<number, number>()
  readonly #downs: Down[] = []
  /** By app: when it may put somebody off. */
  readonly #failing = new Map<string, Span[]>()
  /** Masters that have said that they end. */
  readonly ends: Ends[] = []
  readonly #says = new Map<string, Text[]>()
  #isDown = false

  get isDown(): boolean {
    return this.#isDown
  }

  /** @param ports of the connections that the killed processes had */
  killed(ports: number[]): void {
    for (const port of ports) this.#killed.set(port, performance.now())
  }

  /** @param kept clients' ports of the connections that are to be served all the same */
  down(kept: number[] = []): void {
    this.#isDown = true
    this.#downs.push({ from: performance.now(), to: Number.POSITIVE_INFINITY, kept: new Set(kept) })
  }

  up(): void {
    this.#isDown = false
    this.#downs.at(-1)!.to = performance.now()
  }

  /** From now on its processes may fail, until {@link mended}. */
  broken(app: string): void {
    this.#spans(app).push({ from: performance.now(), to: Number.POSITIVE_INFINITY })
  }

  mended(app: string): void {
    for (const span of this.#spans(app)) span.to = Math.min(span.to, performance.now() + BACKOFF)
  }

  /** What an app is to say from now on; what it said before, until {@link settled}. */
  says(app: string, text: string): void {
    this.#texts(app).push({ from: performance.now(), to: Number.POSITIVE_INFINITY, text })
  }

  settled(app: string): void {
    for (const span of this.#texts(app).slice(0, -1)) span.to = Math.min(span.to, performance.now() + LATE)
  }

  /** What an app may have said between then and now. */
  mayHaveSaid(app: string, since: number): string[] {
    return this.#texts(app)
      .filter(({ to }) => to >= since)
      .map(({ text }) => text)
  }

  #spans(app: string): Span[] {
    return this.#failing.get(app) ?? this.#failing.set(app, []).get(app)!
  }

  #texts(app: string): Text[] {
    return this.#says.get(app) ?? this.#says.set(app, []).get(app)!
  }

  /** @returns why it may have failed; undefined where it may not. Asked a moment later, when who ended has said so. */
  excuse(failed: Failed): string | undefined {
    const { port, openedAt, begunAt, endedAt, what, isPutOff, isStale } = failed
    const overlaps = ({ from, to }: Span) => from <= endedAt && to >= begunAt
    if (isPutOff) return REASONS.test(what) && this.#spans(failed.app).some(overlaps) ? 'the app failed' : undefined
    const killedAt = port === undefined ? undefined : this.#killed.get(port)
    if (killedAt !== undefined && openedAt <= killedAt && killedAt <= endedAt) return 'killed with its process'
    const isKept = ({ kept, from }: Down) => kept.has(port ?? 0) && openedAt < from && begunAt < from && !isStale
    if (this.#downs.some(down => overlaps(down) && !isKept(down))) return 'lookout was down'
    if (isStale && this.#ended(failed)) return 'idle connection of an app that went to rest'
    return undefined
  }

  /** Whether a master of its app, or the gateway's, went to rest or was stopped meanwhile. */
  #ended({ app, byName, begunAt, endedAt }: Failed): boolean {
    return this.ends.some(
      ends =>
        (ends.app === app || (byName && ends.app === 'lookout')) &&
        /^(idle|stopped)/.test(ends.why) &&
        ends.at >= begunAt - SOON &&
        ends.at <= endedAt + SOON,
    )
  }

  /** Whether any app may put somebody off now, so that a command that waits for it may fail. */
  get isFailing(): boolean {
    const now = performance.now()
    return [...this.#failing.values()].flat().some(({ from, to }) => from <= now && to >= now)
  }

  /** Its pid is another's now. */
  forgetMaster(pid: number): void {
    for (const ends of this.ends) if (ends.master === pid) ends.master = 0
  }

  hasEnded(pid: number): boolean {
    return this.ends.some(({ master }) => master === pid)
  }

  /** What is too long ago to matter goes. */
  forget(): void {
    const before = performance.now() - 120_000
    for (const [port, at] of this.#killed) if (at < before) this.#killed.delete(port)
    for (const spans of [this.#downs, ...this.#failing.values()]) {
      spans.splice(0, spans.length, ...((spans as Span[]).filter(({ to }) => to >= before) as never[]))
    }
  }
}

/** ms after which it is known who has ended. */
export const KNOWN = SOON
