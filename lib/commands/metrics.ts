/** `lookout metrics`: what is known of all apps, as Prometheus reads it. */
import { Misuse } from '../errors.js'
import { metricsText } from '../metrics.js'

const USAGE = 'Usage: lookout metrics'

/** @throws Misuse */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (args[0] === '--help')
    return console.log(
      `${USAGE}

Writes what is known of the apps in Prometheus' text format. Nobody is woken by it.
lookout up --metrics ADDR serves the same at http://ADDR/metrics.`,
    )
  if (args.length > 0) throw new Misuse(USAGE.replace('Usage', 'usage'))
  process.stdout.write(await metricsText(env))
}
