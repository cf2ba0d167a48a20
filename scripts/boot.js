/**
 * Makes dist/boot/ from lib/: each process that is started while somebody waits as one file, for every file more that it would load is a tenth
 * of a millisecond between a connection and its answer. What is loaded later, if at all, is a file beside it.
 */
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { buildSync } = require('esbuild')

process.chdir(path.join(__dirname, '..'))

const processes = ['gateway', 'master', 'program', 'worker']
const later = ['bind', 'gateway-site', 'handler', 'handoff', 'loaded', 'metrics', 'stand-in', 'supervision', 'watch']

const build = (names, options) =>
  buildSync({
    entryPoints: names.map(name => `lib/${name}.ts`),
    outdir: 'dist/boot',
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
    ...options,
  })

const external = later.map(name => `./${name}.js`)
build([...processes, ...later], { external, packages: 'external' })

// commander alone is a dozen files: it goes along, with its licence.
const licence = fs.readFileSync(path.join(path.dirname(require.resolve('commander')), 'LICENSE'), 'utf8')
build(['prepare'], {
  external: [...external, 'debug', 'node-gyp-build'],
  banner: { js: `/*\nWith commander, whose licence is:\n\n${licence}*/` },
})

// Nearer than lookout's own, which Node would look for and read in each process: it wants to know what kind of module it is.
fs.writeFileSync('dist/boot/package.json', '{ "type": "commonjs" }\n')
