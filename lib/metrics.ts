/** What is known of all apps, as Prometheus reads it. Looking wakes nobody. */
import { Counter, Gauge, Registry } from 'prom-client'
import { type Survey, survey } from './survey.js'

/** Each with its help, and its value for an app; undefined: it has none. */
const METRICS: Record<string, [help: string, value: (app: Survey) => number | undefined]> = {
  lookout_awake: ['1 while the app has a master', ({ master }) => (master === undefined ? 0 : 1)],
  lookout_failing: ['1 while the app fails to start', ({ state }) => (state === 'fails' ? 1 : 0)],
  lookout_workers: ['workers that live', ({ workers }) => workers.length],
  lookout_resident_bytes: ['memory of master and workers, shared pages in each', ({ rss }) => rss],
  lookout_wakes_total: ['masters that were started', ({ record }) => record.wakes],
  lookout_failures_total: ['workers and masters that ended unasked, or hung', ({ record }) => record.failures],
  lookout_requests_total: ['requests served', ({ record }) => record.requests],
  lookout_first_request_seconds: [
    'from the connection that woke the app to its first answer, the median of the last 64',
    ({ record }) => record.firstRequest && record.firstRequest.median / 1000,
  ],
}

/** Of the text that is made. */
export const TYPE = Registry.PROMETHEUS_CONTENT_TYPE

export async function metricsText(env: NodeJS.ProcessEnv): Promise<string> {
  const registry = new Registry()
  const apps = survey(env)
  for (const [name, [help, value]] of Object.entries(METRICS)) {
    const Kind = name.endsWith('_total') ? Counter : Gauge
    const metric = new Kind({ name, help, labelNames: ['app', 'lookout'], registers: [registry] })
    for (const app of apps) {
      const count = value(app)
      if (count !== undefined) metric.inc({ app: app.name, lookout: app.lookout }, count)
    }
  }
  return registry.metrics()
}
