/**
 * What the processes of one app are told: made by prepare, carried in LOOKOUT_APP, never seen by the app.
 */
import type { Hours } from './hours.js'
import type { Rule } from './rules.js'

/** All that the master and the workers of an app need to know. Times are in ms. */
export interface AppConfig {
  name: string
  /** Absolute; or as given where it is a file to be resolved by node. */
  script: string
  /** 0: never rests. */
  idle: number
  workers: Range
  /** A worker's; 0: no limit. */
  maxConnections: number
  /** Free connections that the pool keeps while it may grow; of workers without a limit, such that are not busy. */
  standby: number
  /** For how long there must have been too many workers before it shrinks; 0: it never does. */
  maxIdle: number
  /** Requests, or raw connections, after which a worker is replaced; 0: never. */
  maxUse: number
  /** Bytes above which a worker is replaced; 0: never. */
  maxRss: number
  /** 0: no limit. */
  maxLifetime: number
  /** For how long a worker's event loop may hang; 0: for ever. */
  watchdog: number
  /** The number of what a worker gets that hangs. */
  watchdogSignal: number
  /** Who its processes are, if not who lookout is. */
  user?: string
  group?: string
  grace: number
  bootTimeout: number
  /** For how long nothing may pass over an upgraded connection that keeps the app awake; 0: for ever. */
  idleUpgraded: number
  /** When it does not rest, though it is idle: see hours.ts. */
  keepAwake?: Hours[]
  /** Requests that do not keep it awake, or the only ones that do. */
  ignore?: Rule[]
  wakeOn?: Rule[]
  /** What a client has to send its first byte; 0: no limit. */
  firstDataTimeout: number
  /** Where these are missing, the app's own hold. */
  headerTimeout?: number
  requestTimeout?: number
  keepAliveTimeout?: number
  watch: boolean
  quiet: boolean
  /** Where it is to be found on the board; 0 where it is alone. */
  slot?: number
  /** Its addresses, as they were written, and as a client would be told. */
  listen?: string[]
  urls?: string[]
  /** The names for which the gateway hands it connections. */
  hosts?: string[]
  /** Its script runs a program that is none of Node's. */
  program?: boolean
  /** The sockets were given to us, by systemd or its like: nothing of ours rests. */
  given?: boolean
  /** Absolute, as the next two: where its processes write what they say. */
  log?: string
  statsFile?: string
  /** A module: see hooks.ts. */
  hooks?: string
  /** The app is a script that makes Preforks: which of them this is, from 0. */
  prefork?: number
}

/** What the gateway is called, among the names of the apps that `lookout up` holds: no other can be. */
export const GATEWAY = 'lookout'

/** Half as many as there are slots for: those that are replaced are still there. */
export const MAX_WORKERS = 128

export interface Range {
  least: number
  most: number
}

/** The variables that lookout's processes pass to each other; every one is removed before the app runs. */
export const INTERNAL = [
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'LISTEN_PIDFDID',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LOOKOUT_APP',
  'LOOKOUT_ADDON',
  'LOOKOUT_CACHE',
  'LOOKOUT_WORKER',
  'LOOKOUT_WORKER_PID',
  'LOOKOUT_WOKEN',
  'LOOKOUT_NODE_OPTIONS',
  'LOOKOUT_RELOAD',
] as const

export function encode(config: AppConfig): string {
  return JSON.stringify(config)
}

/** The configuration in this process's environment; undefined where lookout did not start it. */
export function inherited(env: NodeJS.ProcessEnv): AppConfig | undefined {
  return env.LOOKOUT_APP === undefined ? undefined : (JSON.parse(env.LOOKOUT_APP) as AppConfig)
}
