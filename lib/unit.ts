/**
 * The two systemd units of an app: a socket, which is all that is there at rest, and the service that it starts. Texts are made
 * here and nothing is done; commands/unit.ts does. Each setting that is not what one would expect has its reason above it.
 */

export interface Unit {
  /** The app's; where nothing else is said, of both units, too: NAME.socket, NAME.service. */
  name: string
  units?: string
  /** Of a template, which systemd's % are for: the lines that it begins with. */
  header?: string
  environmentFile?: string
  /** For ListenStream=: 127.0.0.1:3000, 3000, /run/shop.sock */
  listen: string[]
  backlog: number
  deferAccept: boolean
  /** Octal, of socket files; undefined: systemd's 0666. */
  socketMode?: string
  /** node and lookout, absolute. */
  command: string[]
  /** lookout's options for this app, the app, and the app's arguments. */
  args: string[]
  folder: string
  /** ms */
  grace: number
  /** A user's own service manager runs them, which may do less. */
  user: boolean
  /** Who the app runs as; undefined: a user that is made when it wakes. */
  runAs?: string
  /** Where the app, node or lookout is in somebody's home. */
  inHome: boolean
  /** The same for /tmp. */
  inTemporary: boolean
}

/** Begins each file that is ours to replace or remove. */
export const MARK = '# Made by lookout unit'

const MADE = `${MARK}, which replaces it when it is installed again.`

const DEFER = `# A connection that says nothing (a browser's guess, a port scan) wakes nothing for this long.
DeferAcceptSec=30`

/** s beyond --grace: the master ends what is late, and says so. */
const MARGIN = 5

/** As a word of an ExecStart= line: neither split nor expanded. */
function quoted(word: string): string {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@%+=:,./$-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`
}

export function socketUnit({ header = MADE, name, listen, backlog, deferAccept, socketMode }: Unit): string {
  const isUnix = listen.some(address => !/\d$/.test(address))
  const isTcp = listen.some(address => /\d$/.test(address))
  return `${header}
[Unit]
Description=${name}, which wakes when somebody connects

[Socket]
${listen.map(address => `ListenStream=${address}`).join('\n')}
${isUnix && socketMode !== undefined ? `SocketMode=${socketMode}\n` : ''}# So many may wait while the app wakes or is restarted (net.core.somaxconn allows no more).
Backlog=${backlog}
${isTcp && deferAccept ? `${DEFER}\n` : ''}# For a service that cannot even be started, node being gone: more than 20 tries in 2 s, and the socket fails. lookout never
# comes near: it backs off, answers 503, and is started once a second at most. systemd 255 and later can pause instead of
# giving up; there: TriggerLimitIntervalSec=0, PollLimitIntervalSec=10s, PollLimitBurst=20
TriggerLimitIntervalSec=2s
TriggerLimitBurst=20

[Install]
WantedBy=sockets.target
`
}

export function serviceUnit(unit: Unit): string {
  const { header = MADE, name, units = name, command, args, folder, grace, user, environmentFile } = unit
  const word = (text: string) => (unit.header === undefined ? quoted(text) : text)
  const line = (words: string[]) => [...command, ...words].map(word).join(' ')
  return `${header}
[Unit]
Description=${name}
Requires=${units}.socket
# The master backs off by itself while the app fails. A limit here would make the socket fail, for good.
StartLimitIntervalSec=0

[Service]
# It says when somebody answers, how it is (systemctl status), and that it lives; only the master's word counts.
Type=notify
NotifyAccess=main
SyslogIdentifier=${name}
WorkingDirectory=${unit.header === undefined ? folder.replaceAll('%', '%%') : folder}
${user ? '' : '# A visitor gets no stack traces.\nEnvironment=NODE_ENV=production\n'}${
  environmentFile === undefined
    ? ''
    : `# LOOKOUT_WORKERS=2, and whatever the app wants to know.\nEnvironmentFile=-${environmentFile}\n`
}ExecStart=${line(args)}
# Replaces the workers one by one, waits for that, and fails where it failed: the old ones then serve on.
ExecReload=${line(['restart'])} $MAINPID
# Idle, it exits with 0, and only the socket is left: "always" would wake it again at once.
Restart=on-failure
# Who waits would have it started again without end: once a second is enough for what cannot be started.
RestartSec=1
# TERM is for the master, which lets the workers finish; what the app has left after that is killed.
KillMode=mixed
# More than --grace, after which the master itself kills what is late.
TimeoutStopSec=${Math.ceil(grace / 1000) + MARGIN}
# A master that hangs is killed and started again; a worker that hangs is the master's to replace (--watchdog).
WatchdogSec=30
${user ? userSandbox() : systemSandbox(unit)}
[Install]
Also=${units}.socket
`
}

/** What the kernel alone enforces: a user's manager may ask for that. */
function userSandbox(): string {
  return `
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute= is left off: V8 compiles JavaScript to machine code.
`
}

function systemSandbox({ name, runAs, inHome, inTemporary }: Unit): string {
  return `
${runAs === undefined ? '# A user of its own, which is there while it is awake.\nDynamicUser=yes' : `User=${runAs}`}
# What it may write: $STATE_DIRECTORY, its own /tmp, and $CACHE_DIRECTORY, where lookout keeps compiled code. For more: ReadWritePaths=
StateDirectory=${name}
CacheDirectory=${name}
UMask=0077
ProtectSystem=strict
${inHome ? '# The app, or node, is in there.\nProtectHome=read-only' : 'ProtectHome=yes'}
${inTemporary ? '# The app, or node, is in there.\nPrivateTmp=no' : 'PrivateTmp=yes'}
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# The last is for os.networkInterfaces().
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# node and lookout set priorities and limits of their own.
SystemCallFilter=setpriority sched_setaffinity prlimit64 setrlimit
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute= is left off: V8 compiles JavaScript to machine code.
`
}

/** Of any app that has a folder of its own: systemctl enable --now lookout@shop.socket */
export function templates(user: boolean): Record<'socket' | 'service', string> {
  const [units, folder, socket, env] = user
    ? ['%h/.config/systemd/user/', '%h/apps/%i', '%t/lookout/%i.sock', '%h/.config/lookout/%i.env']
    : ['/etc/systemd/system/', '/srv/%i', '/run/lookout/%i.sock', '/etc/lookout/%i.env']
  const where = units.replace('%h', '~')
  const enable = `systemctl ${user ? '--user ' : ''}enable --now lookout@shop.socket`
  const unit: Unit = {
    header: `# A template for any app: copy it to ${where}, put the app into ${folder.replace('%h', '~').replace('%i', 'shop')}, then
#   ${enable}
# \`lookout unit\` makes the units of one app, with its own options and addresses.`,
    name: '%i',
    units: 'lookout@%i',
    listen: [socket!],
    backlog: 4096,
    deferAccept: true,
    socketMode: user ? '0600' : '0666',
    command: ['/usr/bin/env', 'lookout'],
    args: ['--name', '%i', '--idle', '30s', '.'],
    folder: folder!,
    environmentFile: env!,
    grace: 30_000,
    user,
    inHome: false,
    inTemporary: false,
  }
  return { socket: socketUnit(unit), service: serviceUnit(unit) }
}
