/**
 * The map of lookout, in the order in which things come to life.
 *
 * prepare   reads the command line, binds the sockets, becomes the resting program
 * lookout   (native/lookout.c) rests; the first connection wakes a master and worker 0
 * master    supervises the workers, decides when the app is idle
 * worker    loads the app, accepts, serves
 *
 * What an app may use:
 */
export { healthy, unhealthy } from './health.js'
export { hold } from './hold.js'
