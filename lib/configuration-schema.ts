/**
 * What a configuration of `lookout up` may say: which keys there are and what they take, by zod, which also makes the JSON schema
 * that editors read. What is wrong with one is configuration-mistakes.ts's.
 */
import { inspect } from 'node:util'
import { z } from 'zod'
import { parseAddress, parseTime } from './address.js'
import { Misuse } from './errors.js'
import { type Entry, type Options, TABLE } from './option-table.js'
import { optionsOf } from './options.js'
import type { Rule } from './rules.js'

/** The options that an app can have: it is called by its key, and all of them have one process, with one pid file. */
export type OptionKey = Exclude<keyof Options, 'name' | 'pidFile'>

export const OPTION_KEYS = Object.keys(TABLE).filter(key => key !== 'name' && key !== 'pidFile') as OptionKey[]

/** Options that name a file. */
export const FILE_KEYS: readonly OptionKey[] = OPTION_KEYS.filter(key => TABLE[key].flags.endsWith(' <file>'))

type Value = string | number | boolean

/** An app as it is written. Paths are as given, options as optionsOf() takes them. */
export interface AppInput extends Partial<Record<OptionKey, Value | Value[]>> {
  script?: string
  command?: string[]
  args?: string[]
  cwd?: string
  env?: Record<string, Value>
  envFile?: string | string[]
  node?: string
  hosts?: string[]
  ignore?: Rule[]
  wakeOn?: Rule[]
}

export interface Input {
  gateway?: number | false
  metrics?: string | number
  defaults?: AppInput
  apps: Record<string, AppInput>
}

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
export const NAME = new RegExp(`^(?!(lookout|localhost)$)${LABEL}$`)
const HOST = new RegExp(`^(?=.{1,253}$)${LABEL}(\\.${LABEL})*$`, 'i')

/** A value in a message: short, in one line, and a circle is no harm. */
export function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : inspect(value, { depth: 0 }).replace(/\s+/g, ' ')
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

export function wanted(what: string) {
  return { error: ({ input }: { input?: unknown }) => `${what} is wanted, not ${show(input)}` }
}

const text = (what: string) => z.string(wanted(what)).min(1, wanted(what))

function texts(what: string) {
  return z.array(text('a text'), wanted(what))
}

function object<Shape extends z.ZodRawShape>(shape: Shape) {
  const { error } = wanted('an object')
  return z.strictObject(shape, { error: issue => (issue.code === 'invalid_type' ? error(issue) : undefined) })
}

/** The table's text, which is about the flag. */
function helpOf({ flags, help, default: value, parse, repeat }: Entry): string {
  const about = flags.startsWith('--no-') ? `false: ${help}` : help
  const number = parse === parseTime ? '; a number is in seconds' : ''
  return `${about}${number}${value && !repeat ? ` (default: ${value})` : ''}`
}

function takes(key: OptionKey) {
  const entry: Entry = TABLE[key]
  if (!entry.parse) return z.boolean(wanted('true or false'))
  if (FILE_KEYS.includes(key)) return z.string(wanted('a path'))
  const one = z.union([z.string(), z.number()], wanted('a text or a number'))
  const addresses = wanted('an address or a list of them')
  return entry.repeat ? z.union([one, z.array(one).min(1, addresses)], addresses) : one
}

/** A number means what it does on the command line, where everything is text. */
export function asWritten(value: unknown): unknown {
  return typeof value === 'number' ? `${value}` : value
}

function option(key: OptionKey) {
  const schema = checked(takes(key), value => optionsOf({ [key]: asWritten(value) }), `cannot use ${key}: `)
  return schema.optional().describe(helpOf(TABLE[key]))
}

/** @param known what the message of a Misuse begins with, and need not say here */
function checked<Schema extends z.ZodType>(schema: Schema, check: (value: unknown) => void, known = ''): Schema {
  return schema.superRefine((value: unknown, context: z.RefinementCtx) => {
    try {
      check(value)
    } catch (error) {
      if (!(error instanceof Misuse)) throw error
      context.addIssue({ code: 'custom', message: error.message.replace(known, '') })
    }
  }) as Schema
}

const { listen, ...options } = Object.fromEntries(OPTION_KEYS.map(key => [key, option(key)]))

const scalar = z.union([z.string(), z.number(), z.boolean()], wanted('a text, a number, true or false'))

const pattern = (what: string) => text(what).optional()

export const rule = object({
  path: pattern('a path, as /health or /api/*,').describe('without what follows a ?'),
  method: pattern('a method, as GET,'),
  userAgent: pattern('a user agent, as kube-probe/*,'),
  upgrade: pattern('a protocol, as websocket,').describe('what an upgrade is asked for, as websocket'),
})
  .refine(rule => Object.keys(rule).length > 0, wanted('path, method, userAgent or upgrade'))
  .meta({ minProperties: 1 })

const rules = z.array(rule, wanted('a list of rules')).min(1, wanted('a list of rules'))

/** What apps and defaults can have. */
export const shared = {
  ...options,
  env: z
    .record(z.string().regex(/^[^=]+$/, wanted("a variable's name")), scalar, wanted('an object'))
    .optional()
    .describe('variables for the app, over those of envFile'),
  envFile: z
    .union([text('a path'), texts('a list of paths')], wanted('a path or a list of paths'))
    .optional()
    .describe('files of NAME=value lines, the later over the earlier'),
  node: text('a path').optional().describe('another node to run the script with'),
  ignore: rules
    .optional()
    .describe('requests that neither wake the app nor keep it awake: 503 while it rests; * stands for anything'),
  wakeOn: rules.optional().describe('the only requests that wake the app and keep it awake'),
}

const COMMAND = 'a list of texts, the program first,'

export const own = {
  script: text('a path').optional().describe('a file that node can run, or a folder whose package.json names one'),
  command: texts(COMMAND)
    .min(1, wanted(COMMAND))
    .optional()
    .describe('instead of script: any program that takes its sockets by LISTEN_FDS, and its arguments'),
  args: z
    .array(z.string(wanted('a text')), wanted('a list of texts'))
    .optional()
    .describe("the app's own arguments"),
  cwd: text('a path').optional().describe("where the app runs, and what script is relative to (this file's folder)"),
  hosts: z
    .array(z.string(wanted('a host name')).regex(HOST, wanted('a host name')), wanted('a list of host names'))
    .optional()
    .describe('host names by which the gateway has the app, beside NAME.localhost'),
  listen: listen!,
}

const PORT = wanted('a port from 0 to 65535, or false,')
const ADDRESS = wanted('an address')
const APPS = wanted('an object with at least one app')

export const schema = object({
  $schema: z.string(wanted('a text')).optional(),
  gateway: z
    .union([z.literal(false), z.int().min(0, PORT).max(65535, PORT)], PORT)
    .optional()
    .describe('the port at which each app is NAME.localhost; false: none (default: 8080)'),
  metrics: checked(z.union([z.string(), z.number()], ADDRESS), value => {
    const { kind, text } = parseAddress(String(value))
    if (kind === 'name') throw new Misuse(`an address is wanted, not ${text}`)
  })
    .optional()
    .describe('an address at which /metrics tells Prometheus of the apps, as 9100'),
  defaults: object(shared).optional().describe('what holds for every app that does not say otherwise'),
  apps: z
    .record(z.string(), object({ ...own, ...shared }), APPS)
    .refine(apps => Object.keys(apps).length > 0, APPS)
    .meta({ description: 'the apps, by their names', minProperties: 1, propertyNames: { pattern: NAME.source } }),
})

/** As editors have it. */
export function jsonSchema(): object {
  return { title: 'lookout.config', ...z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) }
}
