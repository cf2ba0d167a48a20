/**
 * Where the apps of a configuration are: sockets that are bound now, and at a reload those that are there already, with what may
 * have changed about them.
 */
import { type Address, type BindOptions, type Bound, bind, isFree, release, urlOf } from './bind.js'
import type { AppSpec } from './configuration.js'
import { handoffFile } from './instances.js'
import { posix } from './posix.js'
import { addressesHeld, type Held, handoffOf, keyOf } from './reload.js'
import { listenUnix } from './socket-file.js'

/** Connections that may wait until an app takes them from the gateway. */
const HANDED = 4096

/** One address of an app. */
export interface Place {
  text: string
  url: string
  fds: number[]
  locks: number[]
}

export class Places {
  readonly #bound: Bound[] = []
  readonly #taken = new Map<string, Place>()
  readonly #held: Map<string, number[]>

  /** @param before what there is already; missing at the start */
  constructor(
    private readonly env: NodeJS.ProcessEnv,
    private readonly before?: Held,
  ) {
    this.#held = before ? addressesHeld(before) : new Map()
  }

  /** Binds what has a port, or a path: else it could be a free one that an app was given. @throws Failure; then release() */
  async take({ options }: AppSpec): Promise<void> {
    for (const address of options.listen ?? []) {
      if (address.kind === 'name' || isFree(address) || this.#held.has(address.text)) continue
      this.#taken.set(address.text, await this.#bind(options, address))
    }
  }

  /** An app's, in order. @throws Failure; then release() */
  async of(spec: AppSpec, addresses: Address[]): Promise<Place[]> {
    const places: Place[] = []
    for (const address of addresses) {
      const fds = this.#held.get(keyOf(spec.name, address.text))
      const taken = this.#taken.get(address.text)
      places.push(fds ? this.#keep(spec, address, fds) : (taken ?? (await this.#bind(spec.options, address))))
    }
    return places
  }

  async #bind(options: BindOptions, address: Address): Promise<Place> {
    const [sockets = []] = await bind([address], options)
    this.#bound.push(...sockets)
    const locks = sockets.flatMap(({ lock }) => lock ?? [])
    return { text: address.text, url: sockets[0]!.url, fds: sockets.map(({ fd }) => fd), locks }
  }

  /** Sockets that are there, with what may have changed about them. */
  #keep({ options }: AppSpec, address: Address, fds: number[]): Place {
    for (const fd of fds) posix.listen(fd, options.backlog)
    const { text } = address
    const lock = this.before?.locks.get(`${text}.lock`)
    return { text, url: urlOf(address, fds[0]!), fds, locks: lock === undefined ? [] : [lock] }
  }

  /** Where an app is handed connections. @returns undefined where there is no runtime directory */
  handoff(name: string): { fd: number; path: string } | undefined {
    const file = handoffFile(this.env, name, this.before?.pid ?? process.pid)
    if (file === undefined) return undefined
    const old = this.before?.apps.find(({ config }) => config.name === name)
    const held = this.before && old && handoffOf(this.before, old)
    if (held !== undefined) return { fd: held, path: file }
    const fd = listenUnix(file, { backlog: HANDED, socketMode: 0o600 })
    this.#bound.push({ fd, url: '', path: file })
    return { fd, path: file }
  }

  /** Lets go of what was bound, where nothing comes of it. */
  release(): void {
    release(this.#bound)
  }
}
