/**
 * A real systemd, as PID 1 of namespaces of its own, on a machine whose PID 1 may be another: units are tested in there. It
 * shares the network and the file system, but for what systemd and its units write; in it /srv/lookout is this project, /srv/node
 * the node that runs the tests, and /srv/apps a folder for apps.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { cleanups, ROOT, until } from './lookout.js'

const SYSTEMD = '/lib/systemd/systemd'

/** As root, in new namespaces: what is written is in memory, what is the machine's own to start is not there. */
const INSIDE = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /srv
mkdir /srv/lookout /srv/node /srv/apps
for part in "$1"/*; do
  if [ -d "$part" ]; then mkdir "/srv/lookout/\${part##*/}"; else touch "/srv/lookout/\${part##*/}"; fi
  mount --bind "$part" "/srv/lookout/\${part##*/}" # its folder may be closed to others
done
mount --bind "$2" /srv/node
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var
mkdir -p -m 1777 /var/tmp /run/lock
mkdir -p /var/log /var/lib /var/cache
ln -s /run /var/run
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
mkdir -p /run/systemd/system
for unit in /lib/systemd/system/{sysinit,basic,local-fs,sockets,timers,multi-user}.target.wants/*; do
  case \${unit##*/} in '*'|systemd-journald*) ;; *) ln -sf /dev/null "/run/systemd/system/\${unit##*/}" ;; esac
done
ln -sf /dev/null /run/systemd/system/systemd-remount-fs.service
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export container=lookout-test
exec ${SYSTEMD} --system --unit=basic.target --log-target=journal --show-status=0`

/** Why there can be none here; undefined where there can. */
export function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'root is needed'
  if (!fs.existsSync(SYSTEMD)) return `${SYSTEMD} is needed`
  return undefined
}

export interface Said {
  code: number
  stdout: string
  stderr: string
}

export class Systemd {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly pid: number,
  ) {}

  static async boot(): Promise<Systemd> {
    const flags = ['--pid', '--fork', '--mount', '--uts', '--ipc', '--cgroup', '--kill-child']
    const node = path.join(path.dirname(process.execPath), '..')
    const holder = spawn('unshare', [...flags, 'bash', '-c', INSIDE, 'inside', ROOT, node], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    holder.stderr.on('data', text => {
      said += text
    })
    const children = () => fs.readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim()
    const pid = await until('systemd', () => {
      const child = children()
      return fs.readFileSync(`/proc/${child}/comm`, 'utf8') === 'systemd\n' ? Number(child) : undefined
    }).catch(error => {
      throw new Error(`${error.message}; it said:\n${said}`)
    })
    const systemd = new Systemd(holder, pid)
    await until('its end of booting', async () => {
      const { stdout } = await systemd.run('systemctl', 'is-system-running')
      return /running|degraded/.test(stdout)
    })
    return systemd
  }

  /** A file in there, as it is reached from here. */
  path(inside: string): string {
    return `/proc/${this.pid}/root${inside}`
  }

  /** Runs a command in there. */
  run(...words: string[]): Promise<Said> {
    const enter = ['-t', `${this.pid}`, '-p', '-m', '-u', '-i', '-C', '--', ...words]
    return new Promise(resolve => {
      execFile('nsenter', enter, { env: this.#env }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr })
      })
    })
  }

  get #env(): NodeJS.ProcessEnv {
    return { PATH: `/srv/node/bin:${process.env.PATH}`, HOME: '/run', XDG_RUNTIME_DIR: '/run/user/0' }
  }

  /** The same; what fails is an error. */
  async do(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...words)
    if (code !== 0) throw new Error(`${words.join(' ')}: ${code}\n${stdout}${stderr}`)
    return stdout
  }

  /** `lookout` in there. */
  lookout(...args: string[]): Promise<Said> {
    return this.run('/srv/node/bin/node', '/srv/lookout/bin/lookout', ...args)
  }

  /** A folder for an app, in there, with what it consists of. */
  app(name: string, files: Record<string, string>): string {
    const folder = `/srv/apps/${name}`
    fs.mkdirSync(this.path(folder), { recursive: true })
    fs.writeFileSync(this.path('/srv/apps/package.json'), '{}')
    const modules = this.path('/srv/apps/node_modules')
    if (!fs.lstatSync(modules, { throwIfNoEntry: false })) fs.symlinkSync('/srv/lookout/node_modules', modules)
    for (const [file, text] of Object.entries(files)) fs.writeFileSync(this.path(`${folder}/${file}`), text)
    return folder
  }

  /** Installs an app's units; they are removed after the test. */
  async install(app: string, ...options: string[]): Promise<void> {
    const { code, stdout, stderr } = await this.lookout('unit', '--install', ...options, app)
    if (code !== 0) throw new Error(`lookout unit --install: ${code}\n${stdout}${stderr}`)
    cleanups.push(async () => {
      const { code, stderr } = await this.lookout('unit', '--remove', ...options.filter(isName), app)
      if (code !== 0) throw new Error(stderr)
    })
  }

  /** A unit's properties. */
  async show(unit: string, ...properties: string[]): Promise<Record<string, string>> {
    const text = await this.do('systemctl', 'show', `--property=${properties.join(',')}`, unit)
    const pairs = text
      .trim()
      .split('\n')
      .map(line => [line.replace(/=.*/s, ''), line.replace(/^[^=]*=/, '')])
    return Object.fromEntries(pairs) as Record<string, string>
  }

  async state(unit: string): Promise<string> {
    return (await this.show(unit, 'ActiveState')).ActiveState!
  }

  /** The processes of a service, as many as its control group has. */
  processes(service: string): number[] {
    try {
      const file = this.path(`/sys/fs/cgroup/system.slice/${service}/cgroup.procs`)
      return fs.readFileSync(file, 'utf8').trim().split('\n').filter(Boolean).map(Number)
    } catch {
      return [] // no group: nobody is in it
    }
  }

  /** Waits until a service is at rest: inactive, and without a process. */
  async rests(service: string): Promise<void> {
    await until(`${service} at rest`, async () => (await this.state(service)) === 'inactive', 20_000).catch(
      async error => {
        throw new Error(`${error.message}; the journal:\n${await this.journal(service)}`)
      },
    )
    const left = this.processes(service)
    if (left.length > 0) throw new Error(`${service} is inactive, and has processes: ${left}`)
  }

  /** What it has said, a line each. */
  journal(unit: string, ...options: string[]): Promise<string> {
    return this.do('journalctl', '--no-pager', '--output=cat', `--unit=${unit}`, ...options)
  }

  async end(): Promise<void> {
    this.holder.kill('SIGKILL') // PID 1 goes with it, and all below
    await once(this.holder, 'close')
  }
}

function isName(_: string, index: number, options: string[]): boolean {
  return options[index] === '--name' || options[index - 1] === '--name' || options[index] === '--user'
}
