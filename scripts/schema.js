/** Makes schema/lookout.config.schema.json of lib/configuration-schema.ts, for editors; or the file that is named. */
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { jsonSchema } = require('../dist/lib/configuration-schema.js')

const file = process.argv[2] ?? path.join(__dirname, '../schema/lookout.config.schema.json')
fs.mkdirSync(path.dirname(file), { recursive: true })
fs.writeFileSync(file, `${JSON.stringify(jsonSchema(), null, 2)}\n`)
