/** The configuration of `lookout up`: where it is found, what it means, and a line for each mistake in it. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { type AppSpec, type Configuration, loadConfiguration } from '../lib/configuration.js'
import { OPTION_KEYS } from '../lib/configuration-schema.js'
import { Misuse } from '../lib/errors.js'
import { TABLE } from '../lib/option-table.js'
import { optionsOf } from '../lib/options.js'
import { ROOT, temporaryFolder } from './support/lookout.js'

const PAGE = fs.readFileSync(path.join(ROOT, 'man/lookout.config.5'), 'utf8')
const SCHEMA = path.join(ROOT, 'schema/lookout.config.schema.json')
const NAMES = 'lookout.config.ts, lookout.config.mjs, lookout.config.js, lookout.config.cjs or lookout.config.json'

/** Of all tests: an app in a file, one in a folder with a main, and one that is started by npm start. */
const APPS = {
  'shop/app.js': '',
  'blog/package.json': '{ "main": "server.js" }',
  'blog/server.js': '',
  'wiki/package.json': '{ "main": "nowhere.js", "scripts": { "start": "node ./bin/www" } }',
  'wiki/bin/www': '',
}

const NAME = 'a name of a-z, 0-9 and -, at most 63, that is not lookout or localhost,'

/** A script that is there, for what else is said of an app. */
const script = 'shop/app.js'

let folder: string

function write(files: Record<string, unknown>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  }
}

const inside = (name: string) => path.join(folder, name)
const load = (...targets: string[]) => loadConfiguration(targets, folder)

function loadJson(configuration: unknown): Promise<Configuration> {
  write({ 'lookout.config.json': configuration })
  return load()
}

async function appOf(app: object, defaults = {}): Promise<AppSpec> {
  return (await loadJson({ defaults, apps: { app } })).apps[0]!
}

/** The lines of what is thrown, with FOLDER for the test's. */
async function linesOf(loading: Promise<Configuration>): Promise<string[]> {
  const error = await loading.then(
    () => new Error('there was no mistake'),
    error => error,
  )
  if (!(error instanceof Misuse)) throw error
  return error.message.replaceAll(folder, 'FOLDER').split('\n')
}

/** The same, without what all of them begin with. */
async function mistakes(configuration: unknown): Promise<string[]> {
  const start = 'cannot use lookout.config.json: '
  const lines = await linesOf(loadJson(configuration))
  for (const line of lines) expect(line.startsWith(start), line).to.equal(true)
  return lines.map(line => line.slice(start.length))
}

describe('a configuration', () => {
  beforeEach(() => {
    folder = temporaryFolder()
    write(APPS)
    fs.symlinkSync('circle', inside('circle'))
  })

  it('of the man page', async () => {
    const example = /^\.EX\n(\{.*?)\.EE/ms.exec(PAGE)![1]!.replaceAll('\\-', '-')
    const { gateway, apps } = await loadJson(example)
    expect(gateway).to.equal(8080)
    const common = { args: [], env: {}, hosts: [] }
    const idle = '30s'
    expect(apps).to.deep.equal([
      {
        ...common,
        name: 'shop',
        app: inside('shop/app.js'),
        cwd: folder,
        options: optionsOf({ name: 'shop', idle, listen: 4001, workers: 2 }),
      },
      { ...common, name: 'blog', app: inside('blog'), cwd: inside('blog'), options: optionsOf({ name: 'blog', idle }) },
      {
        ...common,
        name: 'api',
        command: ['python3', '-m', 'api'],
        cwd: folder,
        options: optionsOf({ name: 'api', idle, listen: '127.0.0.1:4003' }),
      },
    ])
    expect(apps[1]!.options).to.not.have.property('listen')
  })

  describe('is read from', () => {
    const apps = "{ apps: { shop: { script: 'shop/app.js' } } }"
    const kinds: [string, string, string, Record<string, string>?][] = [
      [
        'JSON with a byte order mark',
        'lookout.config.json',
        '\uFEFF{ "apps": { "shop": { "script": "shop/app.js" } } }',
      ],
      ['CommonJS', 'lookout.config.js', `module.exports = ${apps}`],
      [
        'CommonJS whose types are in comments',
        'lookout.config.js',
        `/**\n import { X } from 'x'\n*/\nmodule.exports = ${apps}`,
      ],
      ['CommonJS, .cjs', 'lookout.config.cjs', `module.exports = ${apps}`, { 'package.json': '{ "type": "module" }' }],
      ['a module', 'lookout.config.js', `export default ${apps}`],
      [
        'a module of a package of modules',
        'lookout.config.js',
        `export default ${apps}`,
        { 'package.json': '{ "type": "module" }' },
      ],
      ['a module, .mjs, with await', 'lookout.config.mjs', `export default await Promise.resolve(${apps})`],
      [
        'TypeScript',
        'lookout.config.ts',
        `import { script, type App } from './app'
         interface Apps { apps: Record<string, App> }
         export default { apps: { shop: { script } as App } } satisfies Apps`,
        { 'app.ts': "export interface App { script: string }\nexport const script: string = 'shop/app.js'" },
      ],
      ['a function', 'lookout.config.mjs', `export default () => (${apps})`],
      ['a function that is async', 'lookout.config.cjs', `module.exports = async () => (${apps})`],
      ['a function in TypeScript', 'lookout.config.ts', `export default async (): Promise<object> => (${apps})`],
      ['a promise', 'lookout.config.js', `module.exports = Promise.resolve(${apps})`],
    ]
    for (const [what, file, text, others = {}] of kinds)
      it(what, async () => {
        write({ [file]: text, ...others })
        const { apps } = await load()
        expect(apps.map(({ name, app }) => [name, app])).to.deep.equal([['shop', inside('shop/app.js')]])
      })

    it('a file by another name, or the folder that has it, from elsewhere', async () => {
      write({ 'other.json': { gateway: 1, apps: { shop: { script: 'shop/app.js' } } } })
      expect((await loadConfiguration([inside('other.json')], '/')).apps[0]!.app).to.equal(inside('shop/app.js'))
      fs.renameSync(inside('other.json'), inside('lookout.config.json'))
      expect((await loadConfiguration([folder], '/')).gateway).to.equal(1)
      expect((await loadConfiguration(['..'], inside('shop'))).gateway).to.equal(1)
    })

    for (const extension of ['mjs', 'cjs', 'js', 'ts', 'json'])
      it(`.${extension} anew each time, with what it imports`, async () => {
        const config = `lookout.config.${extension}`
        for (const gateway of [4001, 4002]) {
          const helper = extension === 'cjs' ? `module.exports = ${gateway}` : `export default ${gateway}`
          const read =
            extension === 'cjs'
              ? "const n = require('./n.cjs'); module.exports ="
              : `import n from './n.${extension}'; export default`
          const text = `${read} { gateway: n, apps: { shop: { script: 'shop/app.js' } } }`
          const json = { gateway, apps: { shop: { script: 'shop/app.js' } } }
          write({ [`n.${extension}`]: helper, [config]: extension === 'json' ? json : text })
          expect((await load()).gateway).to.equal(gateway)
        }
      })

    it('a module that would keep its process alive', async () => {
      write({ 'lookout.config.js': `setInterval(() => {}, 1000); module.exports = ${apps}` })
      expect((await load()).apps).to.have.lengthOf(1)
    })
  })

  describe('of folders', () => {
    it('has an app for each that has a package.json, called as it is', async () => {
      fs.mkdirSync(inside('Site'))
      write({ 'Site/package.json': '{ "main": "../shop/app.js" }' })
      const { gateway, apps } = await load('wiki', 'shop', 'Site', 'blog', './blog/')
      expect(gateway).to.equal(8080)
      expect(apps.map(({ name, app, cwd }) => [name, app, cwd])).to.deep.equal([
        ['wiki', inside('wiki/bin/www'), inside('wiki')],
        ['site', inside('Site'), inside('Site')],
        ['blog', inside('blog'), inside('blog')],
      ])
    })

    it('can be of one', async () => {
      expect((await load('blog')).apps.map(({ name }) => name)).to.deep.equal(['blog'])
    })

    it('says of all what is wrong', async () => {
      write({
        'my_app/package.json': '{ "main": "x.js" }',
        'a/shop/package.json': '{',
        'b/shop/package.json': '{}',
        'lookout/package.json': '{ "main": "../shop/app.js" }',
        'c/package.json': '{ "scripts": { "start": "node --watch app.js" } }',
      })
      const lines = await linesOf(load('my_app', 'a/shop', 'b/shop', 'lookout', 'c'))
      expect(lines).to.have.lengthOf(6)
      expect(lines.filter(line => !line.includes('JSON'))).to.deep.equal([
        'cannot use b/shop: there is a shop already, a/shop',
        `cannot use my_app: ${NAME} is wanted, not "my_app"`,
        `cannot use lookout: ${NAME} is wanted, not "lookout"`,
        'cannot use my_app: script or command is wanted: cannot run FOLDER/my_app: "main" names FOLDER/my_app/x.js, ' +
          'which is not there, and no "start" that is node FILE',
        'cannot use c: script or command is wanted: cannot run FOLDER/c: its package.json has no "main", ' +
          'and no "start" that is node FILE',
      ])
      expect(lines.find(line => line.includes('JSON'))).to.match(
        /^cannot use a\/shop: script or command is wanted: cannot run FOLDER\/a\/shop: package\.json: .*JSON.*, and no "start" that is node FILE$/,
      )
    })

    it('is refused where none has a package.json, where one is a file, and where one is not there', async () => {
      fs.mkdirSync(inside('empty'))
      expect(await linesOf(load('shop', 'empty'))).to.deep.equal(['cannot use shop, empty: there is no package.json'])
      expect(await linesOf(load('empty'))).to.deep.equal([
        `cannot use empty: there is no ${NAMES}, and no package.json`,
      ])
      expect(await linesOf(load('blog', 'shop/app.js'))).to.deep.equal([
        'cannot use shop/app.js: where there are several, each is a folder',
      ])
      expect(await linesOf(load('blog', 'nowhere'))).to.deep.equal(['cannot use nowhere: it is not there'])
    })
  })

  describe('of an app', () => {
    it('takes every option but the name and the pid file, as the library does', async () => {
      const given = {
        listen: [4001, 'localhost:4002', '/run/x.sock'],
        idle: 5,
        workers: '1:4',
        maxConnections: 10,
        standby: 2,
        idleUpgraded: '10m',
        keepAwake: 'mon-fri 8:00-18:00',
        maxIdle: '1m',
        maxUse: '100',
        maxRss: '512M',
        maxLifetime: '24h',
        watchdog: 0,
        watchdogSignal: 'ABRT',
        grace: '5',
        bootTimeout: 1.5,
        firstDataTimeout: '2s',
        headerTimeout: '3s',
        requestTimeout: 4,
        keepAliveTimeout: '500ms',
        backlog: 10,
        deferAccept: false,
        socketMode: '660',
        user: 'root',
        group: 'root',
        log: '/run/app.log',
        statsFile: '/run/stats',
        hooks: '/hooks.js',
        watch: true,
        quiet: true,
      }
      expect(given).to.have.all.keys(OPTION_KEYS)
      expect(Object.keys(TABLE)).to.have.members([...OPTION_KEYS, 'name', 'pidFile'])
      const { options } = await appOf({ script, ...given })
      const words = Object.entries(given).map(([key, value]) => [key, typeof value === 'number' ? `${value}` : value])
      expect(options, 'as on the command line').to.deep.equal(optionsOf({ ...Object.fromEntries(words), name: 'app' }))
      expect(options).to.include({ idle: 5000, grace: 5000, keepAliveTimeout: 500, maxRss: 512 * 2 ** 20 })
    })

    it('wins over the defaults, option by option and variable by variable', async () => {
      write({ 'all.env': 'A=1\nB=1\nC=1\nD=1\n', 'own.env': 'C=3\nD=3\n' })
      const defaults = {
        idle: '1m',
        workers: 2,
        quiet: true,
        envFile: 'all.env',
        env: { B: 2, C: 2 },
        node: process.execPath,
      }
      const { options, env, node } = await appOf(
        { script, idle: 0, quiet: false, envFile: 'own.env', env: { D: 4 } },
        defaults,
      )
      expect(options).to.deep.equal(optionsOf({ name: 'app', idle: 0, workers: 2, quiet: false }))
      expect(env).to.deep.equal({ A: '1', B: '2', C: '3', D: '4' })
      expect(node).to.equal(process.execPath)
      expect(await appOf({ command: ['true'] }, { node: process.execPath })).to.not.have.property('node')
    })

    it('is as if a key were not there, where its value is undefined', async () => {
      write({
        'lookout.config.js': `module.exports = {
          gateway: undefined,
          defaults: { idle: '1m', env: undefined },
          apps: { app: { script: 'shop/app.js', command: undefined, idle: undefined, listen: undefined, cwd: undefined } },
        }`,
      })
      const { gateway, apps } = await load()
      expect(gateway).to.equal(8080)
      expect(apps[0]).to.deep.include({ options: optionsOf({ name: 'app', idle: '1m' }), cwd: folder })
    })

    it('takes its variables from files, the later over the earlier, and as texts', async () => {
      write({ 'one.env': '# one\nA=1\nB="two words"\n', 'two.env': 'A=2\n' })
      const app = { script, envFile: ['one.env', 'two.env'], env: { C: 3, D: true, E: '' } }
      const { apps } = await loadJson({ apps: { app } })
      expect(apps[0]!.env).to.deep.equal({ A: '2', B: 'two words', C: '3', D: 'true', E: '' })
    })

    it('has paths by the folder of the file, and its script by its cwd', async () => {
      write({
        'conf/lookout.config.json': {
          defaults: { hooks: 'hooks.js' },
          apps: {
            app: {
              cwd: '../shop',
              script: './app.js',
              listen: ['./a.sock', 'unix:b.sock', '/c.sock'],
              statsFile: 'stats',
              node: '../node',
            },
          },
        },
      })
      fs.symlinkSync(process.execPath, inside('node'))
      const { app, cwd, node, options } = (await load('conf')).apps[0]!
      expect({ app, cwd, node }).to.deep.equal({
        app: inside('shop/app.js'),
        cwd: inside('shop'),
        node: inside('node'),
      })
      expect(options.listen?.map(({ text }) => text)).to.deep.equal([
        inside('conf/a.sock'),
        inside('conf/b.sock'),
        '/c.sock',
      ])
      expect(options).to.include({ hooks: inside('conf/hooks.js'), statsFile: inside('conf/stats') })
    })

    it('runs a file without its extension, a folder, or what package.json says', async () => {
      expect((await appOf({ script: 'shop/app' })).app).to.equal(inside('shop/app'))
      expect(await appOf({ script: 'blog' })).to.include({ app: inside('blog'), cwd: folder })
      expect(await appOf({ cwd: 'blog' })).to.include({ app: inside('blog'), cwd: inside('blog') })
      expect(await appOf({ cwd: 'wiki' })).to.include({ app: inside('wiki/bin/www'), cwd: inside('wiki') })
      write({ 'package.json': '{ "scripts": { "start": " node shop/app.js " } }' })
      expect(await appOf({})).to.include({ app: inside('shop/app.js'), cwd: folder })
    })

    it('has its arguments, and its hosts in lower case', async () => {
      const { args, hosts } = await appOf({ script, args: ['--verbose', ''], hosts: ['Shop.Example', 'app.localhost'] })
      expect({ args, hosts }).to.deep.equal({ args: ['--verbose', ''], hosts: ['shop.example', 'app.localhost'] })
    })

    it('shares a port with no other, and port 0 with any', async () => {
      const listen = ['192.0.2.1:4001', 'localhost:0', '/a.sock']
      const others = { b: { script, listen: ['192.0.2.2:4001', 'localhost:0', '/b.sock', '192.0.2.1:8080'] } }
      expect((await loadJson({ apps: { a: { script, listen }, ...others } })).apps).to.have.lengthOf(2)
      expect((await loadJson({ gateway: false, apps: { a: { script, listen: 8080 } } })).gateway).to.equal(false)
    })
  })

  describe('with a mistake says so in a line:', () => {
    const app = (entries: object) => ({ apps: { app: { script, ...entries } } })
    const time = 'a time is 30, 30s, 500ms, 5m or 1h'
    const cases: [string, unknown, ...string[]][] = [
      ['no object', [], 'an object is wanted, not []'],
      ['no apps', {}, 'apps: an object with at least one app is wanted, not undefined'],
      ['apps that are none', { apps: {} }, 'apps: an object with at least one app is wanted, not {}'],
      ['apps in a list', { apps: [] }, 'apps: an object with at least one app is wanted, not []'],
      ['an app that is none', { apps: { app: 3 } }, 'apps.app: an object is wanted, not 3'],
      ['a name', { apps: { My_App: { script } } }, `apps.My_App: ${NAME} is wanted, not "My_App"`],
      [
        'a name with an end that is none',
        { apps: { 'app-': { script } } },
        `apps["app-"]: ${NAME} is wanted, not "app-"`,
      ],
      [
        'a name that is too long',
        { apps: { ['a'.repeat(64)]: { script } } },
        `apps.${'a'.repeat(64)}: ${NAME} is wanted, not "${'a'.repeat(64)}"`,
      ],
      [
        'names that are ours',
        { apps: { lookout: { script }, localhost: { script } } },
        `apps.lookout: ${NAME} is wanted, not "lookout"`,
        `apps.localhost: ${NAME} is wanted, not "localhost"`,
      ],
      ['a key', { gatway: 1, ...app({}) }, 'gatway: there is no such key (did you mean gateway?)'],
      ['a key that any object has', { constructor: 1, ...app({}) }, 'constructor: there is no such key'],
      [
        'keys of an app',
        app({ idel: 1, 'max-use': 1, something: 1 }),
        'apps.app.idel: there is no such key (did you mean idle?)',
        'apps.app["max-use"]: there is no such key (did you mean maxUse?)',
        'apps.app.something: there is no such key',
      ],
      [
        'keys that apps do not have',
        app({ name: 'x', pidFile: 'x' }),
        "apps.app.name: the app's key is its name",
        'apps.app.pidFile: there is no such key',
      ],
      [
        'a key of the defaults',
        { defaults: { workrs: 2 }, ...app({}) },
        'defaults.workrs: there is no such key (did you mean workers?)',
      ],
      [
        'keys that defaults cannot have',
        { defaults: { script, command: [], listen: 1, hosts: [], args: [], cwd: '.' }, ...app({}) },
        ...['script', 'command', 'listen', 'hosts', 'args', 'cwd'].map(
          key => `defaults.${key}: only an app can have it`,
        ),
      ],
      ['defaults', { defaults: [], ...app({}) }, 'defaults: an object is wanted, not []'],
      ['a default', { defaults: { idle: 'soon' }, ...app({}) }, `defaults.idle: ${time}, not "soon"`],
      [
        'a gateway',
        { gateway: true, ...app({ listen: 8080 }) },
        'gateway: a port from 0 to 65535, or false, is wanted, not true',
      ],
      [
        'a port of the gateway',
        { gateway: 65536, ...app({}) },
        'gateway: a port from 0 to 65535, or false, is wanted, not 65536',
      ],
      ['a time', app({ idle: 'soon' }), `apps.app.idle: ${time}, not "soon"`],
      ['a number for a time', app({ idle: -1 }), `apps.app.idle: ${time}, not "-1"`],
      ['no text and no number', app({ idle: null }), 'apps.app.idle: a text or a number is wanted, not null'],
      ['a count', app({ workers: 0 }), 'apps.app.workers: a whole number from 1 to 128 is wanted, not "0"'],
      ['a size', app({ maxRss: 'much' }), 'apps.app.maxRss: a size is 512M, 1G or a number of bytes, not "much"'],
      ['a flag', app({ watch: 'yes' }), 'apps.app.watch: true or false is wanted, not "yes"'],
      ['a path', app({ statsFile: 3 }), 'apps.app.statsFile: a path is wanted, not 3'],
      ['a path that is empty', app({ hooks: '' }), 'apps.app.hooks: a file is wanted'],
      [
        'an address',
        app({ listen: 'nowhere' }),
        'apps.app.listen: cannot listen on "nowhere": an address is PORT, HOST:PORT, [V6]:PORT, /path, unix:/path or name=NAME',
      ],
      ['no address', app({ listen: [] }), 'apps.app.listen: an address or a list of them is wanted, not []'],
      [
        'limits that contradict each other',
        { defaults: { workers: '1:2' }, ...app({ standby: 5 }) },
        'apps.app: cannot keep room for --standby 5: 2 workers have room for 2',
      ],
      ['variables', app({ env: ['A=1'] }), "apps.app.env: an object is wanted, not [ 'A=1' ]"],
      [
        'a variable',
        app({ env: { A: null, 'B=': 1 } }),
        'apps.app.env.A: a text, a number, true or false is wanted, not null',
        `apps.app.env["B="]: a variable's name is wanted, not "B="`,
      ],
      ['rules', app({ ignore: '/health' }), 'apps.app.ignore: a list of rules is wanted, not "/health"'],
      ['no rules', app({ wakeOn: [] }), 'apps.app.wakeOn: a list of rules is wanted, not []'],
      [
        'a rule that says nothing',
        app({ ignore: [{}] }),
        'apps.app.ignore[0]: path, method, userAgent or upgrade is wanted, not {}',
      ],
      [
        'a rule',
        app({ ignore: [{ path: '/a' }, { paht: '/b', method: 3 }] }),
        'apps.app.ignore[1].method: a method, as GET, is wanted, not 3',
        'apps.app.ignore[1].paht: there is no such key (did you mean path?)',
      ],
      [
        'rules for any port',
        app({ wakeOn: [{ path: '/a' }], listen: [4001, 'localhost:0'] }),
        'apps.app.listen: a port above 0 is wanted, for there is ignore or wakeOn',
      ],
      [
        'rules for a command',
        { apps: { app: { command: ['true'], ignore: [{ path: '/a' }] } } },
        'apps.app: a script is wanted for ignore and wakeOn, not a command',
      ],
      [
        'hours',
        app({ keepAwake: 'always' }),
        'apps.app.keepAwake: hours are 8:00-18:00 or mon-fri 8:00-18:00, several by commas, not "always"',
      ],
      ['arguments', app({ args: '-v' }), 'apps.app.args: a list of texts is wanted, not "-v"'],
      ['an argument', app({ args: ['-n', 3] }), 'apps.app.args[1]: a text is wanted, not 3'],
      [
        'a command',
        { apps: { app: { command: 'python3 app.py' } } },
        'apps.app.command: a list of texts, the program first, is wanted, not "python3 app.py"',
      ],
      [
        'a command that is empty',
        { apps: { app: { command: [] } } },
        'apps.app.command: a list of texts, the program first, is wanted, not []',
      ],
      ['script and command', app({ command: ['true'] }), 'apps.app: script or command is wanted, not both'],
      [
        'another node for a command',
        { apps: { app: { command: ['true'], node: process.execPath } } },
        'apps.app.node: a script is wanted for it, not a command',
      ],
      [
        'no script',
        { apps: { app: {} } },
        'apps.app: script or command is wanted: cannot run FOLDER: a folder without package.json',
      ],
      [
        'no script in a folder',
        { apps: { app: { cwd: 'shop' } } },
        'apps.app: script or command is wanted: cannot run FOLDER/shop: a folder without package.json',
      ],
      [
        'a script that is not there',
        { apps: { app: { cwd: 'blog', script } } },
        'apps.app.script: cannot run FOLDER/blog/shop/app.js: it is not there',
      ],
      [
        'a script that is a folder',
        { apps: { app: { script: 'shop' } } },
        'apps.app.script: cannot run FOLDER/shop: a folder without package.json',
      ],
      [
        'a folder that leads in a circle',
        { apps: { app: { cwd: 'circle' } } },
        'apps.app.cwd: a folder that is there is wanted, not "circle"',
      ],
      [
        'a folder that is not there',
        { apps: { app: { cwd: 'nowhere' } } },
        'apps.app.cwd: a folder that is there is wanted, not "nowhere"',
      ],
      [
        'a folder that is a file',
        { apps: { app: { cwd: script, command: ['true'] } } },
        `apps.app.cwd: a folder that is there is wanted, not "${script}"`,
      ],
      [
        'files of variables that are not there',
        app({ envFile: ['a.env', 'shop'] }),
        'apps.app.envFile: a file that can be read is wanted, not "a.env" (ENOENT)',
        'apps.app.envFile: a file that can be read is wanted, not "shop" (EISDIR)',
      ],
      [
        'files of defaults that are not there, once',
        { defaults: { envFile: 'a.env', node: 'n' }, apps: { a: { script }, b: { script } } },
        'defaults.node: a program that can be run is wanted, not "n" (ENOENT)',
        'defaults.envFile: a file that can be read is wanted, not "a.env" (ENOENT)',
      ],
      [
        'a node that cannot be run',
        app({ node: script }),
        `apps.app.node: a program that can be run is wanted, not "${script}" (EACCES)`,
      ],
      [
        'a node that is a folder',
        app({ node: 'shop' }),
        'apps.app.node: a program that can be run is wanted, not "shop" (a folder)',
      ],
      [
        'hosts',
        app({ hosts: ['a b', 'shop.example:80', '-a'] }),
        ...['a b', 'shop.example:80', '-a'].map(
          (host, at) => `apps.app.hosts[${at}]: a host name is wanted, not "${host}"`,
        ),
      ],
      [
        'no address and no gateway',
        { gateway: false, ...app({}) },
        'apps.app.listen: an address is wanted, for there is no gateway',
      ],
      [
        'an address that is there, but wrong, and no gateway',
        { gateway: false, ...app({ lisen: 4001 }) },
        'apps.app.lisen: there is no such key (did you mean listen?)',
      ],
      [
        'a host that is the name of another, twice',
        { apps: { a: { script, hosts: ['c.localhost'] }, b: { script, hosts: ['c.localhost'] }, c: { script } } },
        ...['a', 'b'].map(
          name => `apps.${name}.hosts: a host name of its own is wanted, not "c.localhost" (apps.c has it)`,
        ),
      ],
      [
        'hosts that two have',
        { apps: { a: { script, hosts: ['x.example', 'b.localhost'] }, b: { script, hosts: ['X.example'] } } },
        'apps.a.hosts: a host name of its own is wanted, not "b.localhost" (apps.b has it)',
        'apps.b.hosts: a host name of its own is wanted, not "x.example" (apps.a has it)',
      ],
      [
        'hosts that are ours, and one that is given twice',
        app({ hosts: ['localhost', 'lookout.localhost', 'x', 'x'] }),
        'apps.app.hosts: a host name of its own is wanted, not "localhost" (lookout has it)',
        'apps.app.hosts: a host name of its own is wanted, not "lookout.localhost" (lookout has it)',
        'apps.app.hosts: a host name of its own is wanted, not "x" (apps.app has it)',
      ],
      [
        'files of statistics that two have',
        { defaults: { statsFile: 's' }, apps: { a: { script }, b: { script } } },
        'apps.b.statsFile: a file of its own is wanted, not "FOLDER/s" (apps.a has it)',
      ],
      [
        'logs that two have, but in a folder',
        {
          defaults: { log: 'l' },
          apps: { a: { script }, b: { script }, c: { script, log: '.' }, d: { script, log: '.' } },
        },
        'apps.b.log: a file of its own is wanted, not "FOLDER/l" (apps.a has it)',
      ],
      ['metrics', { metrics: 'name=x', ...app({}) }, 'metrics: an address is wanted, not name=x'],
      [
        'metrics where the gateway is',
        { metrics: 8080, ...app({}) },
        'metrics: an address of its own is wanted, not 8080 (gateway has localhost:8080)',
      ],
      [
        'an app where metrics are',
        { metrics: 9100, ...app({ listen: 'localhost:9100' }) },
        'apps.app.listen: an address of its own is wanted, not localhost:9100 (metrics has 9100)',
      ],
      [
        'much that is right in itself',
        {
          apps: {
            app: { script: 'x', idle: 'soon', hosts: ['localhost'], listen: 8080 },
            other: { cwd: 'x', listen: '::' },
            third: 3,
          },
        },
        `apps.app.idle: ${time}, not "soon"`,
        'apps.other.listen: cannot listen on "::": an address is PORT, HOST:PORT, [V6]:PORT, /path, unix:/path or name=NAME',
        'apps.third: an object is wanted, not 3',
        'apps.app.script: cannot run FOLDER/x: it is not there',
        'apps.other.cwd: a folder that is there is wanted, not "x"',
        'apps.app.listen: an address of its own is wanted, not 8080 (gateway has localhost:8080)',
        'apps.app.hosts: a host name of its own is wanted, not "localhost" (lookout has it)',
      ],
    ]
    it('names and keys that objects have of themselves', async () => {
      const [name, ...more] = await mistakes(
        '{ "apps": { "app": { "script": "shop/app.js" }, "__proto__": { "args": 3 } } }',
      )
      expect([name, more]).to.deep.equal([`apps.__proto__: ${NAME} is wanted, not "__proto__"`, []])
      const keys =
        '{ "apps": { "app": { "script": "shop/app.js", "__proto__": {}, "constructor": {}, "env": { "__proto__": "" } } } }'
      expect(await mistakes(keys)).to.deep.equal([
        'apps.app.__proto__: there is no such key',
        'apps.app.constructor: there is no such key',
      ])
    })

    it('a value that is long, in one line', async () => {
      const [line, ...more] = await mistakes(app({ cwd: Array.from({ length: 30 }, () => 'x\ny') }))
      expect(line).to.match(/^apps\.app\.cwd: a path is wanted, not \[ 'x\\ny', .{50,80}\.\.\.$/)
      expect(more).to.deep.equal([])
    })

    for (const [what, configuration, ...lines] of cases)
      it(what, async () => expect(await mistakes(configuration)).to.deep.equal(lines))

    const same = [
      ['4001', 'localhost:4001'],
      ['localhost:4001', '127.0.0.1:4001'],
      ['127.0.0.1:4001', '[::1]:4001'],
      ['0.0.0.0:4001', '192.0.2.1:4001'],
      ['a.example:4001', 'A.example:4001'],
      ['LOCALHOST:4001', '127.0.0.1:4001'],
      ['[::]:4001', '4001'],
      ['./a.sock', 'unix:a.sock'],
    ] as const
    for (const [one, other] of same)
      it(`${one} and ${other}`, async () => {
        const shown = (text: string) => (text.includes('sock') ? 'FOLDER/a.sock' : text)
        const [line, ...more] = await mistakes({ apps: { a: { script, listen: one }, b: { script, listen: other } } })
        expect(line).to.equal(
          `apps.b.listen: an address of its own is wanted, not ${shown(other)} (apps.a has ${shown(one)})`,
        )
        expect(more).to.deep.equal([])
      })

    it('an address that is given twice, and that of the gateway', async () => {
      expect(
        await mistakes({ gateway: 4001, apps: { a: { script, listen: ['/a.sock', '[::1]:4001', '/a.sock'] } } }),
      ).to.deep.equal([
        'apps.a.listen: an address of its own is wanted, not [::1]:4001 (gateway has localhost:4001)',
        'apps.a.listen: an address of its own is wanted, not /a.sock (apps.a has /a.sock)',
      ])
    })
  })

  describe('that cannot be read says so in a line:', () => {
    const texts: [string, RegExp, string][] = [
      ['JSON, empty', /^Unexpected end of JSON input \(line 1, column 1\)$/, ''],
      ['JSON that ends early', /^(Unexpected end of JSON input|Expected .+) \(line 2, column 12\)$/, '{\n  "apps": {'],
      ['JSON with a comma too many', /^[^"(]*"?[^(]* \(line 3, column 1\)$/, '{\n  "apps": {},\n}'],
      ['JSON with a word', /^Unexpected token 'x' \(line 3, column 9\)$/, '{\n  "x": "x",\n  "ap": x\n}'],
      ['JSON with a comment', /^[^"(]*"?[^(]* \(line 2, column 3\)$/, '{\n  // x\n}'],
      ['JSON and more', /^Unexpected non-whitespace character after JSON \(line 2, column 1\)$/, '{}\n{}'],
    ]
    for (const [what, cause, text] of texts)
      it(what, async () => {
        const [line, ...more] = await mistakes(text)
        expect(line).to.match(cause)
        expect(more).to.deep.equal([])
      })

    it('a module that is elsewhere, by a name with spaces', async () => {
      write({ 'else where/lookout.config.mjs': "\nthrow new Error('no')" })
      fs.symlinkSync('else where/lookout.config.mjs', inside('lookout.config.mjs'))
      expect(await linesOf(load())).to.deep.equal(['cannot use lookout.config.mjs: no (line 2)'])
      write({ 'else where/lookout.config.mjs': "export default () => {\n throw new Error('no') }" })
      expect(await linesOf(load())).to.deep.equal(['cannot use lookout.config.mjs: no (line 2)'])
    })

    const modules: [string, Record<string, string>, string][] = [
      [
        'it throws',
        { 'lookout.config.js': "\nconst a = 1\nthrow new Error('no DATABASE_URL\\nat all')" },
        'no DATABASE_URL (line 3)',
      ],
      [
        'TypeScript throws',
        { 'lookout.config.ts': "interface A {\n  a: 1\n}\nthrow new Error('no A')" },
        'no A (line 4)',
      ],
      [
        'its function throws',
        { 'lookout.config.mjs': "export default async () => {\n  throw new TypeError('no')\n}" },
        'no (line 2)',
      ],
      ['it throws what is no error', { 'lookout.config.js': "throw 'no'" }, 'no'],
      [
        'what it imports throws',
        { 'lookout.config.ts': "import './lib/x'\nexport default {}", 'lib/x.ts': "\nthrow new Error('no')" },
        'no (lib/x.ts line 2)',
      ],
      [
        'it throws later',
        {
          'lookout.config.js': "setTimeout(() => { throw new Error('late') })\nmodule.exports = new Promise(() => {})",
        },
        'late (line 1)',
      ],
      [
        'it has a mistake in its syntax',
        { 'lookout.config.js': 'module.exports = {\n  apps: {}\n  gateway: 1\n}' },
        'Unexpected token, expected "," (line 3)',
      ],
      [
        'TypeScript has one',
        { 'lookout.config.ts': 'export default {\n  apps: {}\n  gateway: 1\n}' },
        'Unexpected token, expected "," (line 3)',
      ],
      [
        'what it imports is not there',
        { 'lookout.config.mjs': "\nimport './nowhere.js'" },
        "Cannot find module './nowhere.js' (line 2)",
      ],
      [
        'it imports itself',
        {
          'lookout.config.ts': "import config from './lookout.config'\nexport default { ...config, apps: config.apps }",
        },
        "Cannot read properties of undefined (reading 'apps') (line 2)",
      ],
      ['it has no default export', { 'lookout.config.mjs': 'export const apps = {}' }, 'it has no default export'],
      ['TypeScript has none', { 'lookout.config.ts': 'export const apps = {}' }, 'it has no default export'],
      ['it exits', { 'lookout.config.js': 'process.exit()' }, 'it ended before it had a value'],
      [
        'it never has a value',
        { 'lookout.config.js': 'module.exports = new Promise(() => {})' },
        'it ended before it had a value',
      ],
      [
        'a function is in it',
        { 'lookout.config.js': 'module.exports = { apps: { app: { hooks: () => 1 } } }' },
        'only data can be in it: () => 1 could not be cloned.',
      ],
      [
        'its function returns nothing',
        { 'lookout.config.js': 'module.exports = () => {}' },
        'an object is wanted, not undefined',
      ],
      [
        'it is in itself',
        { 'lookout.config.js': 'const a = {}; a.apps = { app: a }; module.exports = a' },
        'apps.app.apps: there is no such key (did you mean args?)',
      ],
    ]
    for (const [what, files, line] of modules)
      it(what, async () => {
        write(files)
        expect(await linesOf(load())).to.deep.equal([`cannot use ${Object.keys(files)[0]}: ${line}`])
      })

    it('there is none', async () => {
      expect(await linesOf(load())).to.deep.equal([`cannot use FOLDER: there is no ${NAMES}`])
    })

    it('there are two', async () => {
      write({ 'lookout.config.json': '{}', 'lookout.config.ts': '' })
      const line = 'one of lookout.config.ts and lookout.config.json is wanted, not 2'
      expect(await linesOf(load())).to.deep.equal([`cannot use FOLDER: ${line}`])
      expect(await linesOf(loadConfiguration([path.basename(folder)], path.dirname(folder)))).to.deep.equal([
        `cannot use ${path.basename(folder)}: ${line}`,
      ])
    })

    it('a file that is not there, is of another kind, or leads in a circle', async () => {
      write({ 'lookout.config.yaml': '' })
      fs.symlinkSync('circle.json', inside('circle.json'))
      expect(await linesOf(load('nowhere.json'))).to.deep.equal(['cannot use nowhere.json: it is not there'])
      expect(await linesOf(load('lookout.config.yaml'))).to.deep.equal([
        'cannot use lookout.config.yaml: a file that ends in .ts, .mjs, .js, .cjs or .json is wanted',
      ])
      expect(await linesOf(load('circle.json'))).to.deep.equal(['cannot use circle.json: ELOOP'])
      expect(await linesOf(loadConfiguration([inside('nowhere.json')], '/usr'))).to.deep.equal([
        'cannot use FOLDER/nowhere.json: it is not there',
      ])
    })
  })
})

describe('the schema of a configuration', () => {
  it('is what scripts/schema.js makes of it', () => {
    const made = path.join(temporaryFolder(), 'schema.json')
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/schema.js'), made])
    expect(fs.readFileSync(SCHEMA, 'utf8')).to.equal(fs.readFileSync(made, 'utf8'))
  })

  it('has the keys of lookout.config(5), which has no others', () => {
    const { properties } = JSON.parse(fs.readFileSync(SCHEMA, 'utf8'))
    const app = properties.apps.additionalProperties
    const keys = [...Object.keys(properties), ...Object.keys(app.properties)]
    const [, own = '', options = ''] = /^\.SH KEYS\n(.*)^\.SS Options\n(.*?)^\.PP/ms.exec(PAGE) ?? []
    const told = [...own.matchAll(/^\.TP\n\.B (\S+)$/gm), ...options.matchAll(/^\.BR ([a-z]\w+) [,.]$/gim)]
    expect(told.map(([, key]) => key)).to.have.members([...new Set(keys)])
    expect(app.additionalProperties).to.equal(false)
    expect(Object.keys(app.properties).filter(key => !(key in properties.defaults.properties))).to.have.members([
      'script',
      'command',
      'listen',
      'hosts',
      'args',
      'cwd',
    ])
  })

  it('says what the table does', () => {
    const { properties } = JSON.parse(fs.readFileSync(SCHEMA, 'utf8')).properties.apps.additionalProperties
    for (const key of OPTION_KEYS) expect(properties[key].description).to.include(TABLE[key].help)
    expect(properties.grace.description).to.equal(`${TABLE.grace.help}; a number is in seconds (default: 30s)`)
    expect(properties.deferAccept.description).to.match(/^false: /)
  })

  it('comes with the package, and its libraries are loaded for it alone', () => {
    const { files } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
    expect(files).to.include('schema')
    const sources = fs.readdirSync(path.join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    const users = sources.filter(
      file =>
        /\.ts$/.test(file) &&
        /from 'zod'|'jiti'|configuration-schema\.js/.test(fs.readFileSync(path.join(ROOT, 'lib', file), 'utf8')),
    )
    expect(users.filter(name => !name.startsWith('configuration'))).to.deep.equal([])
  })
})
