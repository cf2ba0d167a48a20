/** Makes systemd/ of lib/unit.ts: templates to copy, from the text that `lookout unit` makes. */
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { templates } = require('../dist/lib/unit.js')

for (const user of [false, true]) {
  const folder = path.join(__dirname, '../systemd', user ? 'user' : '')
  fs.mkdirSync(folder, { recursive: true })
  for (const [kind, text] of Object.entries(templates(user))) {
    fs.writeFileSync(path.join(folder, `lookout@.${kind}`), text)
  }
}
