/** What no two apps of a configuration can have. */
import { type Address, parseAddress } from './address.js'
import type { Mistake } from './configuration-mistakes.js'
import { show } from './configuration-schema.js'
import type { Options } from './option-table.js'

/** Where an app or the gateway listens. */
interface Claim {
  address: Address
  owner: string
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1']
const ANY = ['0.0.0.0', '::']

/** A port that is bound on every address leaves none to others. */
function overlap(one: Address, other: Address): boolean {
  if (one.kind !== 'tcp' || other.kind !== 'tcp') return one.text === other.text
  if (one.port !== other.port || one.port === 0) return false
  const hosts = [one, other].map(({ host = ANY[0]! }) => host.toLowerCase())
  const [first, second] = hosts.map(host => (LOOPBACK.includes(host) ? 'localhost' : host))
  return first === second || hosts.some(host => ANY.includes(host))
}

interface Named {
  name: string
  hosts: string[]
  options: Options
}

/** Where lookout itself is. */
interface Own {
  gateway: number | false
  metrics?: Address | undefined
}

/** Addresses and files that two have. */
export function clashes(apps: Named[], { gateway, metrics }: Own): Mistake[] {
  const mistakes: Mistake[] = []
  const claims: Claim[] = gateway === false ? [] : [{ address: parseAddress(`localhost:${gateway}`), owner: 'gateway' }]
  if (metrics) {
    const other = claims.find(claim => overlap(claim.address, metrics))
    const text = `an address of its own is wanted, not ${metrics.text} (gateway has ${other?.address.text})`
    if (other) mistakes.push({ path: ['metrics'], text })
    claims.push({ address: metrics, owner: 'metrics' })
  }
  const files = new Map<string, string>()
  for (const { name, options } of apps) {
    const owner = `apps.${name}`
    for (const address of options.listen ?? []) {
      const other = claims.find(claim => overlap(claim.address, address))
      const text = `an address of its own is wanted, not ${address.text} (${other?.owner} has ${other?.address.text})`
      if (other) mistakes.push({ path: ['apps', name, 'listen'], text })
      claims.push({ address, owner })
    }
    for (const key of ['statsFile', 'log'] as const) {
      const file = options[key]
      if (file === undefined) continue
      const other = files.get(file)
      const text = `a file of its own is wanted, not ${show(file)} (${other} has it)`
      if (other) mistakes.push({ path: ['apps', name, key], text })
      files.set(file, owner)
    }
  }
  return mistakes
}

/** Host names that two have. */
export function hostClashes(apps: Named[]): Mistake[] {
  const owners = new Map(apps.map(({ name }) => [`${name}.localhost`, `apps.${name}`]))
  for (const host of ['localhost', 'lookout.localhost']) owners.set(host, 'lookout')
  return apps.flatMap(({ name, hosts }) =>
    hosts.flatMap(host => {
      const other = host === `${name}.localhost` ? undefined : owners.get(host)
      if (other === undefined) owners.set(host, `apps.${name}`)
      const text = `a host name of its own is wanted, not ${show(host)} (${other} has it)`
      return other === undefined ? [] : [{ path: ['apps', name, 'hosts'], text }]
    }),
  )
}
