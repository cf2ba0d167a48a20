/**
 * The map of lookout, in the order in which things come to life.
 *
 * prepare   reads the command line, binds the sockets, becomes the resting program
 * lookout   (native/lookout.c) rests; the first connection wakes a master and worker 0
 * master    supervises the workers, decides when the app is idle
 * worker    loads the app, accepts, serves
 *
 * What an app may use (hold, healthy, unhealthy), and what a program may that runs a pool itself (Cluster, Prefork): nothing
 * of that is loaded before it is used.
 */

export { Cluster, type ClusterOptions } from './cluster.js'
export { healthy, unhealthy } from './health.js'
export { hold } from './hold.js'
export type { Hooks } from './hooks.js'
export {
  Prefork,
  type PreforkAddress,
  type PreforkChild,
  type PreforkHandler,
  type PreforkOptions,
  type PreforkSocket,
} from './prefork.js'
export type { WorkerStats } from './slot.js'
export type { PoolStats } from './supervision.js'
