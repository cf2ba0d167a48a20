/** The option table, --help and the man page say the same; the man page is well formed. */
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { environmentName, TABLE } from '../lib/option-table.js'
import { BIN, ROOT } from './support/lookout.js'

const PAGE = path.join(ROOT, 'man/lookout.1')

/** commander's own, and the other side of the one option that is on by default. */
const BESIDE_THE_TABLE = ['--help', '--version', '--defer-accept']

/** What a man page's source says, without fonts and escapes; its macros are left in place. */
function plain(source: string): string {
  return source.replace(/\\f[A-Z]/g, '').replace(/\\-/g, '-')
}

/** A section of the man page, without its title. */
function section(title: string): string {
  const found = plain(fs.readFileSync(PAGE, 'utf8'))
    .split(/^\.SH /m)
    .find(text => text.startsWith(`${title}\n`))
  if (found === undefined) throw new Error(`${PAGE} has no section ${title}`)
  return found.slice(title.length + 1)
}

/** The flags in a text: -l, --listen. */
function flagsIn(text: string): string[] {
  return text.match(/(?<![\w-])--?[a-z][a-z-]*/g) ?? []
}

/** The entries of OPTIONS: the line with the flags, and the text below it with the lines joined. */
function entries(): { flags: string; text: string }[] {
  return section('OPTIONS')
    .split(/^\.TP\n/m)
    .slice(1)
    .map(entry => {
      const [flags = '', ...text] = entry.split('\n')
      return { flags, text: text.join(' ') }
    })
}

describe('documentation', () => {
  let help: string

  before(async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, '--help'])
    help = stdout.replace(/\s+/g, ' ')
  })

  for (const [name, option] of Object.entries(TABLE)) {
    const [flags, argument] = option.flags.split(' <') as [string, string?]

    describe(flags, () => {
      it('is in the man page, with its default', () => {
        const entry = entries().find(({ flags: line }) => flagsIn(flags).every(flag => flagsIn(line).includes(flag)))
        expect(entry, `an entry for ${option.flags}`).to.not.equal(undefined)
        if (argument) expect(entry?.flags).to.match(new RegExp(` ${argument.replace('>', '')}$`))
        if (option.default) expect(entry?.text).to.include(`Default: ${option.default}.`)
      })

      it('has its variable in the man page', () => {
        const lines = section('ENVIRONMENT').split('\n')
        const line = lines.find(text => text.startsWith(`${environmentName(name)} `))
        expect(line, `a line for ${environmentName(name)}`).to.not.equal(undefined)
        expect(flagsIn(line ?? '')).to.include(flagsIn(flags).at(-1))
      })

      it('is in --help, with its default', () => {
        expect(help).to.include(
          `${option.flags} ${option.help}${option.default ? ` (default: ${option.default})` : ''}`,
        )
      })
    })
  }

  it('the man page has no option that is not there', () => {
    const known = [...Object.values(TABLE).flatMap(option => flagsIn(option.flags)), ...BESIDE_THE_TABLE]
    for (const { flags } of entries()) expect(known).to.include.members(flagsIn(flags))
    expect(known).to.include.members(flagsIn(section('OPTIONS')).filter(flag => flag.startsWith('--')))
  })

  it('the man page has no variable that is not there', () => {
    const known = Object.keys(TABLE).map(environmentName)
    expect(known).to.include.members(section('ENVIRONMENT').match(/\bLOOKOUT_[A-Z_]+/g) ?? [])
  })

  it('--help and --version are in both', () => {
    for (const flag of ['--help', '--version']) {
      expect(help).to.include(` ${flag} `)
      expect(entries().map(({ flags }) => flags)).to.include(flag)
    }
  })

  for (const page of fs.readdirSync(path.dirname(PAGE))) {
    it(`${page} is clean under groff, and part of the package`, () => {
      const file = path.join(path.dirname(PAGE), page)
      // -ww: every warning. -Wall, which is often seen, turns all of them off.
      const { error, status, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8', file], { encoding: 'utf8' })
      if (error) {
        throw new Error(
          `groff is needed to check ${page}, and cannot be run: ${error.message} (Debian: apt install groff)`,
        )
      }
      expect(stderr).to.equal('')
      expect(status).to.equal(0)
      const { man } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'))
      expect(man).to.include(`man/${page}`)
    })
  }

  it("lookout unit's own flags are in --help and in its man page", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, 'unit', '--help'])
    const page = plain(fs.readFileSync(path.join(ROOT, 'man/lookout-unit.1'), 'utf8'))
    const flags = page.match(/^\.B (--[a-z]+)$/gm)?.map(line => line.slice(3)) ?? []
    expect(flags).to.include.members(['--install', '--remove', '--user', '--help'])
    for (const flag of flags) expect(stdout, flag).to.match(new RegExp(`(^|\\s)${flag}\\b`))
    for (const flag of ['--install', '--remove', '--user']) expect(stdout).to.include(` ${flag} `)
  })
})
