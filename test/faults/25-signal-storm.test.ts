/** Signals that interrupt whatever it does. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import { expect } from 'chai'
import { request, target } from '../support/client.js'
import { fault } from '../support/faults.js'
import { Folder } from '../support/folder.js'

/** Sends back what it gets; at /, how many HUPs it had. */
const ECHOES = `let interrupted = 0
process.on('SIGHUP', () => interrupted++)
require('node:http').createServer((incoming, response) => {
  if (incoming.url === '/echo') return incoming.pipe(response)
  response.end(String(interrupted))
}).listen(3000)
`

const SIGNALS = 1000
const CHUNK = 16_384

const hash = () => createHash('sha256')

describe('a storm of signals', () => {
  fault(25, `${SIGNALS.toLocaleString('en')} HUPs to lookout and to a worker during a body`, 'byte-exact', async () => {
    const folder = await Folder.make()
    fs.writeFileSync(`${folder.path}/app.js`, ECHOES)
    folder.configure({ echo: { script: 'app.js' } })
    const lookout = await folder.up()
    const url = folder.url('echo')
    await request(url)
    const master = lookout.master!
    const worker = Number(folder.run('status', 'echo').stdout.match(/workers (\d+)/)![1])
    const [sent, got] = [hash(), hash()]
    let length = 0
    const outgoing = http.request({ ...target(url, '/echo'), method: 'POST', agent: false })
    const answered = once(outgoing, 'response')
    const chunk = Buffer.alloc(CHUNK)
    let reading: Promise<void> | undefined
    for (let index = 0; index < SIGNALS; index++) {
      chunk.fill(hash().update(`${index}`).digest())
      sent.update(chunk)
      const isFull = !outgoing.write(Buffer.from(chunk))
      lookout.signal('SIGHUP')
      process.kill(worker, 'SIGHUP')
      reading ??= (async () => {
        const [response] = await answered
        for await (const part of response as AsyncIterable<Buffer>) {
          got.update(part)
          length += part.length
        }
      })()
      if (isFull) await once(outgoing, 'drain')
      else await new Promise(setImmediate)
    }
    outgoing.end()
    await reading
    expect(length).to.equal(SIGNALS * CHUNK)
    expect(got.digest('hex')).to.equal(sent.digest('hex'))
    const interrupted = Number((await request(url)).body)
    expect(interrupted).to.be.above(0)
    expect(lookout.master, 'the same').to.equal(master)
    folder.configure({ echo: { script: 'app.js' }, other: { script: 'app.js' } })
    expect((await folder.start('reload')).code).to.equal(0)
    expect(folder.app('other').state).to.equal('rests')
    return `${(length / 2 ** 20).toFixed(1)} MB there and back, byte-exact; the worker's handler ran ${interrupted} times`
  })
})
