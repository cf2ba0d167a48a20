/** What a person is told of the apps of a configuration: where they are, or what a reload has changed. */
import { GATEWAY } from './config.js'
import type { FoundApp, PlannedApp } from './plan.js'
import { plural } from './text.js'

type Old = Map<string, FoundApp>

/** @param port the gateway's; undefined where there is none */
function whereIs({ config: { urls = [], hosts = [] } }: PlannedApp, port?: number): string {
  const names = port === undefined ? [] : hosts.map(host => `http://${host}:${port}`)
  return [...urls, ...names].join(', ')
}

function isNew({ config }: PlannedApp, old: Old): boolean {
  return !old.has(config.name)
}

function hasChanged({ config, version }: PlannedApp, old: Old): boolean {
  return (old.get(config.name)?.version ?? version) !== version
}

function gone(apps: PlannedApp[], old: Old): string[] {
  const names = new Set(apps.map(({ config }) => config.name))
  return [...old.keys()].filter(name => !names.has(name))
}

/** Where each app is. */
export function places(apps: PlannedApp[], port?: number): string[] {
  return apps.map(app => `${app.config.name} rests at ${whereIs(app, port)}`)
}

/** What is another than it was. */
export function changes(apps: PlannedApp[], old: Old, port?: number): string[] {
  const lines = apps.flatMap(app => {
    const { name } = app.config
    if (isNew(app, old)) return [`${name} is new, at ${whereIs(app, port)}`]
    return hasChanged(app, old) && name !== GATEWAY ? [`${name} has changed`] : []
  })
  return [...lines, ...gone(apps, old).map(name => `${name} is gone`)]
}

/** The same in a line. */
export function summary(planned: PlannedApp[], old: Old): string {
  const apps = planned.filter(({ config }) => config.name !== GATEWAY)
  const count = (test: (app: PlannedApp, old: Old) => boolean) => apps.filter(app => test(app, old)).length
  const missing = gone(planned, old).filter(name => name !== GATEWAY)
  return `reloaded: ${plural(apps.length, 'app')}, ${count(isNew)} new, ${count(hasChanged)} changed, ${missing.length} gone`
}
