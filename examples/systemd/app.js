/**
 * Counts its visitors, over wakes: in $STATE_DIRECTORY, where a service may write. As root, with lookout installed:
 *
 *   cp -r examples/systemd /srv/visits
 *   lookout unit --install --idle 10s -l 8080 /srv/visits/app.js
 *   curl localhost:8080
 *
 * `journalctl -fu visits` shows how it wakes and rests, `lookout unit --remove visits` takes it away.
 */
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const file = path.join(process.env.STATE_DIRECTORY ?? '.', 'visits')

function count() {
  const before = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0
  fs.writeFileSync(file, `${before + 1}\n`)
  return before + 1
}

http.createServer((_, response) => response.end(`Visit ${count()}, by process ${process.pid}.\n`)).listen(8080)
