/**
 * Makes dist/boot/ from lib/: each process that is woken as one file, for every file more that it would load is a tenth
 * of a millisecond between a connection and its answer. What is loaded later, if at all, is a file beside it.
 */
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { buildSync } = require('esbuild')

process.chdir(path.join(__dirname, '..'))

const processes = ['master', 'worker']
const later = ['handler', 'loaded', 'stand-in', 'supervision', 'watch']

buildSync({
  entryPoints: [...processes, ...later].map(name => `lib/${name}.ts`),
  outdir: 'dist/boot',
  bundle: true,
  external: later.map(name => `./${name}.js`),
  packages: 'external',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
})

// Nearer than lookout's own, which Node would look for and read in each process: it wants to know what kind of module it is.
fs.writeFileSync('dist/boot/package.json', '{ "type": "commonjs" }\n')
