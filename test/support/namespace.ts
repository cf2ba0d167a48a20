/** Namespaces of a test's own: what is done in them harms nobody else. */
import { spawnSync } from 'node:child_process'

/** Begins an unshare(1) command: who is not root becomes the root of a user namespace. */
const UNSHARE = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'])]

/** A command in front of another, which is run where that folder is a file system of its own, in memory, of so many kB. */
export function withSmallDisk(folder: string, kB: number): string[] {
  const script = `mount -t tmpfs -o size=${kB}k tmpfs "$0" && exec "$@"`
  return [...UNSHARE, '--mount', 'sh', '-c', script, folder]
}

/** A command in front of another, which is run as the first process of all that it sees. */
export const withOwnPids = [...UNSHARE, '--pid', '--fork', '--kill-child', '--mount-proc']

/** A command in front of another, which is run on a network of its own, of its loopback device alone. */
export function withOwnNetwork(prepare: string): string[] {
  return ['unshare', '--net', 'sh', '-c', `ip link set lo up && ${prepare} && exec "$@"`, 'sh']
}

/** There, no other ports are free but these. */
export function withPorts(first: number, last: number): string[] {
  return withOwnNetwork(`echo ${first} ${last} > /proc/sys/net/ipv4/ip_local_port_range`)
}

/** Why such a command cannot be run here; undefined where it can. */
export function cannotRun(command: string[]): string | undefined {
  const { error, stderr } = spawnSync(command[0]!, [...command.slice(1), 'true'], { encoding: 'utf8' })
  return error?.message ?? (stderr === '' ? undefined : `no namespaces: ${stderr.trim()}`)
}

/** Runs a command among the mounts that a process sees. */
export function amongMountsOf(pid: number, ...command: string[]): boolean {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials']
  return spawnSync('nsenter', ['--target', `${pid}`, '--mount', ...user, ...command]).status === 0
}
