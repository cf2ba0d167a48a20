/**
 * What the processes of one app are told: made by prepare, carried in LOOKOUT_APP, never seen by the app.
 */

/** All that the master and the workers of an app need to know. Times are in ms. */
export interface AppConfig {
  name: string
  /** Absolute; or as given where it is a file to be resolved by node. */
  script: string
  /** 0: never rests. */
  idle: number
  workers: number
  grace: number
  bootTimeout: number
  watch: boolean
  quiet: boolean
}

/** The variables that lookout's processes pass to each other; every one is removed before the app runs. */
export const INTERNAL = [
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'LISTEN_PIDFDID',
  'LOOKOUT_APP',
  'LOOKOUT_ADDON',
  'LOOKOUT_CACHE',
  'LOOKOUT_WORKER',
  'LOOKOUT_WORKER_PID',
  'LOOKOUT_WOKEN',
  'LOOKOUT_NODE_OPTIONS',
] as const

export function encode(config: AppConfig): string {
  return JSON.stringify(config)
}

/** The configuration in this process's environment; undefined where lookout did not start it. */
export function inherited(env: NodeJS.ProcessEnv): AppConfig | undefined {
  return env.LOOKOUT_APP === undefined ? undefined : (JSON.parse(env.LOOKOUT_APP) as AppConfig)
}
