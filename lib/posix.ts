/**
 * System calls that Node does not offer: the typed face of native/posix.c. Arguments are checked by the types
 * here; an error carries `code` ("EADDRINUSE"), `errno` and `syscall`, as Node's own do.
 */
import path from 'node:path'

/** A watch on a descriptor, made by {@link Posix.poll}. */
export type Watch = { readonly watch: unique symbol }

/** What {@link Posix.control} does to a watch. After `close` nothing may be done to it. */
export const enum Control {
  stop,
  start,
  unref,
  ref,
  close,
}

export interface Posix {
  socket(family: number): number
  setsockopt(fd: number, level: number, name: number, value: number): void
  getsockopt(fd: number, level: number, name: number): number
  /** `port` is ignored for AF_UNIX. */
  bind(fd: number, family: number, address: string, port: number): void
  connect(fd: number, family: number, address: string, port: number): void
  listen(fd: number, backlog: number): void
  /** [family, address or path, port] */
  getsockname(fd: number): [number, string, number]
  /** A nonblocking, close-on-exec connection, or minus the errno. */
  accept(fd: number): number
  socketpair(): [number, number]
  /** A datagram to a unix socket: a path, or @ and an abstract name. */
  notify(address: string, text: string): void
  /** What a unix socket takes of these bytes, how many that are, with copies of up to 250 descriptors. */
  send(fd: number, data: Buffer, fds: number[]): number
  /** What may be read from a socket, which stays there; undefined while there is nothing, empty at the end of file. */
  peek(fd: number, most: number): Buffer | undefined
  /**
   * What comes over a unix socket, into the buffer: how many bytes, none at the end of file, and the descriptor that came with
   * them, or -1. Throws EAGAIN while there is nothing. Two messages that bring one never come at once.
   */
  receive(fd: number, into: Buffer): [number, number]
  close(fd: number): void
  /** The lowest free descriptor from `least` on. */
  dup(fd: number, least: number): number
  dup2(fd: number, to: number): void
  cloexec(fd: number, on: number): void
  /** An exclusive lock, without waiting: EAGAIN when another holds it. */
  flock(fd: number): void
  /** 1 when a read or an accept would not wait, else 0. */
  readable(fd: number): number
  /** 1 when a write of up to 4,096 bytes would not wait, else 0. */
  writable(fd: number): number
  /** A memfd of that many bytes for good; /proc shows the name. */
  memfd(name: string, bytes: number): number
  /** Its last seals: with F_SEAL_FUTURE_WRITE nobody can write to it any more but by what is mapped already. */
  seal(fd: number, seals: number): void
  /** A memfd mapped shared. To write to what was mapped with PROT_READ alone is the end of the process. */
  mmap(fd: number, bytes: number, protection: number): ArrayBuffer
  /** Gives back what mmap() gave: its length is 0 afterwards. */
  unmap(buffer: ArrayBuffer): void
  /** How many connections wait to be accepted; of a unix socket, 1 if any does. */
  backlog(fd: number): number
  /** Replaces this process; `fds[i]` becomes descriptor i of the next. Returns only by throwing. */
  exec(file: string, argv: string[], env: string[], fds: number[]): never
  /**
   * A child that dies with us; `fds[i]` becomes its descriptor i, `LISTEN_PID=0000000000` its pid; with `leads` 1 it leads a
   * process group.
   */
  spawn(file: string, argv: string[], env: string[], fds: number[], leads: number): number
  pidfdOpen(pid: number): number
  /** false when the process is gone. */
  pidfdKill(pidfd: number, signal: number): boolean
  /** The exit status, minus the signal that killed it, or undefined while it lives. */
  pidfdReap(pidfd: number): number | undefined
  /** Lets whoever else is ready run first. */
  yield(): void
  prctl(option: number, value: number): number
  /** A watch, stopped, on whether `fd` is readable; status is 0 or minus an errno. */
  poll(fd: number, callback: (status: number) => void): Watch
  control(watch: Watch, action: Control): void

  AF_UNIX: number
  AF_INET: number
  AF_INET6: number
  SOL_SOCKET: number
  SO_TYPE: number
  SO_RCVLOWAT: number
  SO_ACCEPTCONN: number
  SO_REUSEADDR: number
  SOCK_STREAM: number
  IPPROTO_TCP: number
  TCP_DEFER_ACCEPT: number
  IPPROTO_IPV6: number
  IPV6_V6ONLY: number
  EAGAIN: number
  EMFILE: number
  ENFILE: number
  PR_SET_PDEATHSIG: number
  PR_SET_DUMPABLE: number
  PR_SET_NO_NEW_PRIVS: number
  PROT_READ: number
  PROT_WRITE: number
  F_SEAL_FUTURE_WRITE: number
}

/**
 * Where the addon is. Looking costs a dozen file system calls, so lookout does it once and tells the
 * processes it wakes by LOOKOUT_ADDON.
 */
export const addon: string =
  process.env.LOOKOUT_ADDON ??
  (require('node-gyp-build') as { resolve(root: string): string }).resolve(path.join(__dirname, '../..'))

/** The resting program, which is built beside the addon. */
export const resting: string = path.join(path.dirname(addon), 'lookout')

const loaded = { exports: {} as Posix }
process.dlopen(loaded, addon) // what require() does in the end, without the third of a millisecond that it searches

export const posix: Posix = loaded.exports
