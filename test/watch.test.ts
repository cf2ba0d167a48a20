/** --watch: a change of a file that the app loaded puts it to rest; the next request loads the new code. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import WebSocket from 'ws'
import { request } from './support/client.js'
import { fixture, Lookout, ROOT, temporaryFolder, until } from './support/lookout.js'

const KINDS = {
  'a required module': {
    'app.js':
      "const answer = require('./answer.js'); require('node:http').createServer((q, s) => s.end(answer)).listen(3000)",
    'answer.js': "module.exports = 'ANSWER'",
  },
  'an imported module': {
    'app.mjs':
      "import http from 'node:http'; import answer from './answer.js'; http.createServer((q, s) => s.end(answer)).listen(3000)",
    'package.json': '{"type":"module"}',
    'answer.js': "export default 'ANSWER'",
  },
  'a module required while it serves': {
    'app.js': "require('node:http').createServer((q, s) => s.end(require('./answer.js'))).listen(3000)",
    'answer.js': "module.exports = 'ANSWER'",
  },
}

describe('--watch', () => {
  for (const [what, files] of Object.entries(KINDS)) {
    it(`reloads when ${what} changes`, async () => {
      const folder = temporaryFolder()
      const write = (answer: string) => {
        for (const [name, text] of Object.entries(files))
          fs.writeFileSync(path.join(folder, name), text.replace('ANSWER', answer))
      }
      write('first')
      const lookout = await Lookout.start(['--watch', path.join(folder, Object.keys(files)[0]!)])
      expect((await request(lookout.url)).body).to.equal('first')
      for (const answer of ['second', 'third']) {
        const before = lookout.count(/ends: .*changed/)
        // The file may not be watched yet: it is written until the change is seen.
        await until('the change is seen', async () => {
          write(answer)
          await new Promise(resolve => setTimeout(resolve, 50))
          return lookout.count(/ends: .*changed/) > before
        })
        await until('the new code', async () => (await request(lookout.url)).body === answer)
      }
    })
  }

  it('does not wait for WebSockets, which are ended', async () => {
    const folder = temporaryFolder()
    const app = path.join(folder, 'app.js')
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
    fs.writeFileSync(app, fs.readFileSync(fixture('busy.js'), 'utf8').replace('../../dist', path.join(ROOT, 'dist')))
    const lookout = await Lookout.start(['--watch', app])
    const socket = new WebSocket(`ws://127.0.0.1:${lookout.port}`).on('error', () => {})
    await new Promise(resolve => socket.once('open', resolve))
    const closed = new Promise(resolve => socket.once('close', resolve))
    await until('the change is seen', async () => {
      fs.appendFileSync(app, '\n')
      await new Promise(resolve => setTimeout(resolve, 50))
      return lookout.count(/ends: .*changed/) > 0
    })
    await closed
    await lookout.rests(2000)
  })
})
