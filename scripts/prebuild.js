/**
 * Builds what the package carries, so that installing it needs no compiler: prebuilds/linux-<arch>/ with
 * posix.<libc>.node, by the names that node-gyp-build looks for, and lookout, which is static and serves either libc.
 * It works on a copy: build/ stays as it is.
 *
 * Without an argument, every target (prepack); with "own", only this machine's, which is what an install from git
 * needs: npm prepares it and takes its files, but does not prepack it.
 */
'use strict'
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.join(__dirname, '..')
const own = {
  arch: process.arch,
  libc: fs.existsSync('/etc/alpine-release') ? 'musl' : 'glibc', // as node-gyp-build tells them apart
  cc: 'cc',
}
/** Our own is last: the lookout kept for its architecture is then built as the tested one was. */
const all = [
  { arch: 'arm64', libc: 'glibc', cc: 'aarch64-linux-gnu-gcc' },
  { arch: process.arch, libc: 'musl', cc: 'musl-gcc' },
  own,
]

function isInstalled(command) {
  return process.env.PATH.split(path.delimiter).some(folder => fs.existsSync(path.join(folder, command)))
}

function build({ arch, libc, cc }, folder) {
  const gyp = require.resolve('node-gyp/bin/node-gyp.js')
  const env = { ...process.env, CC: cc, CXX: cc } // node-gyp links with CXX, and there is no C++
  execFileSync(process.execPath, [gyp, 'rebuild', '--silent', '--arch', arch], { cwd: folder, env, stdio: 'inherit' })
  const to = path.join(root, 'prebuilds', `linux-${arch}`)
  fs.mkdirSync(to, { recursive: true })
  fs.copyFileSync(path.join(folder, 'build/Release/posix.node'), path.join(to, `posix.${libc}.node`))
  fs.copyFileSync(path.join(folder, 'build/Release/lookout'), path.join(to, 'lookout'))
}

/** Those of `all` whose compiler is here. What is published has them all. */
function buildable() {
  const missing = all.filter(({ cc }) => !isInstalled(cc))
  const list = missing.map(({ arch, libc, cc }) => `${arch} ${libc} (there is no ${cc})`).join(', ')
  if (list && process.env.npm_command === 'publish') throw new Error(`cannot build ${list}`)
  if (list) console.error(`prebuild: leaves out ${list}`)
  return all.filter(target => !missing.includes(target))
}

function run(targets) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lookout-prebuild-'))
  try {
    for (const name of ['binding.gyp', 'package.json', 'native'])
      fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
    for (const target of targets) build(target, folder)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[2] === 'own') run([own])
else {
  fs.rmSync(path.join(root, 'prebuilds'), { recursive: true, force: true })
  run(buildable())
}
