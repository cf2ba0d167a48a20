/**
 * What is wrong with a configuration by itself: each mistake with its place and what was expected, or nearly meant. Where something
 * is wrong the rest is checked all the same.
 */
import { distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { type Input, NAME, own, rule, schema, shared, wanted } from './configuration-schema.js'

/** What is wrong where. */
export interface Mistake {
  path: PropertyKey[]
  text: string
}

/** apps.shop.hosts[0] */
export const dotted = z.core.toDotPath

/** The keys that an object at this path can have. */
function keysAt([first, ...rest]: PropertyKey[]): string[] {
  if (rest.some(key => key === 'ignore' || key === 'wakeOn')) return Object.keys(rule.shape)
  if (first === undefined) return Object.keys(schema.shape)
  return Object.keys(first === 'apps' ? { ...own, ...shared } : shared)
}

function unknown(path: PropertyKey[], key: string): Mistake {
  if (path[0] === 'defaults' && Object.hasOwn(own, key))
    return { path: [...path, key], text: 'only an app can have it' }
  if (path[0] === 'apps' && key === 'name') return { path: [...path, key], text: "the app's key is its name" }
  const near = keysAt(path)
    .map(name => ({ name, far: distance(key, name) }))
    .sort((one, other) => one.far - other.far)[0]
  const hint = near && near.far <= 2 ? ` (did you mean ${near.name}?)` : ''
  return { path: [...path, key], text: `there is no such key${hint}` }
}

function mistakesOf(issue: z.core.$ZodIssue): Mistake[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map(key => unknown(issue.path, key))
  return [{ path: issue.path, text: issue.code === 'invalid_key' ? issue.issues[0]!.message : issue.message }]
}

/** What zod passes over. */
const UNSEEN = ['apps', '__proto__']

/** How much of a value goes with a mistake in it: a key of the configuration, of its defaults or of an app. */
const DEPTH = new Map<PropertyKey | undefined, number>([
  ['apps', 3],
  ['defaults', 2],
])

function without(value: unknown, [key, ...rest]: PropertyKey[]): unknown {
  const { [key!]: inner, ...others } = value as Record<PropertyKey, unknown>
  if (rest.length === 0 || inner === undefined) return others
  return { ...others, [key!]: without(inner, rest) }
}

/** @returns what is right of it, to be checked further; nothing where that is no object, or has no apps */
export function checkShape(given: unknown): { mistakes: Mistake[]; input?: Input } {
  const mistakes: Mistake[] = []
  for (let value = given; ; ) {
    const { error } = schema.safeParse(value)
    if (!error) return { mistakes: [...mistakes, ...misnamed(value as Input)], input: without(value, UNSEEN) as Input }
    const found = error.issues.flatMap(mistakesOf)
    const isLost = found.some(({ path: [first, ...rest] }) => first === undefined || (first === 'apps' && !rest.length))
    // Apps that are all wrong are not left out as well.
    if (!isLost || mistakes.length === 0) mistakes.push(...found)
    if (isLost) return { mistakes }
    value = found.reduce((rest, { path }) => without(rest, path.slice(0, DEPTH.get(path[0]) ?? 1)), value)
  }
}

function misnamed({ apps }: Input): Mistake[] {
  const { error } = wanted('a name of a-z, 0-9 and -, at most 63, that is not lookout or localhost,')
  const names = Object.keys(apps).filter(name => !NAME.test(name))
  return names.map(name => ({ path: ['apps', name], text: error({ input: name }) }))
}
