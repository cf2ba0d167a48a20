/** Which address of lookout's an app's listen() gets, and what becomes of those that it does not want. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { expect } from 'chai'
import { request } from './support/client.js'
import { cleanups, fixture, Lookout, until } from './support/lookout.js'

describe('several addresses', () => {
  it('go by port where the app names one of them, else by order', async () => {
    const probe = await Lookout.start(['-l', '127.0.0.1:0', '-l', '127.0.0.1:0', fixture('plain.js')])
    const [first, second] = probe.addresses.map(address => new URL(address).port)
    await probe.stop()
    const lookout = await Lookout.start([
      '-l',
      `127.0.0.1:${first}`,
      '-l',
      `127.0.0.1:${second}`,
      fixture('ports.js'),
      second!,
      first!,
    ])
    const bodies = await Promise.all(lookout.addresses.map(async address => (await request(address)).body))
    expect(bodies).to.deep.equal([`asked for ${first}`, `asked for ${second}`])
  })

  it('that the app does not listen on are closed to who connects, and do not keep it awake', async () => {
    const lookout = await Lookout.start([
      '--idle',
      '300ms',
      '-l',
      '127.0.0.1:0',
      '-l',
      '127.0.0.1:0',
      fixture('plain.js'),
    ])
    const [served, unserved] = lookout.addresses as [string, string]
    const error = await request(unserved).catch(({ code }) => code)
    expect(error).to.equal('ECONNRESET')
    await lookout.line(/closed connections to port \d+: the app does not listen there/)
    await lookout.rests()
    expect((await request(served)).body).to.equal('hello')
  })
})

describe('localhost, of which what a killed lookout left still holds ::1', () => {
  it('is waited for, though 127.0.0.1 is ours by then', async () => {
    const orphan = spawn(process.execPath, [
      '--eval',
      `process.title = 'lookout worker orphan'
      const server = require('node:net').createServer().listen(0, '::1', () => console.log(server.address().port))`,
    ])
    cleanups.push(() => void orphan.kill('SIGKILL'))
    const [port] = await once(orphan.stdout, 'data')
    const lookout = Lookout.spawn(['-l', `localhost:${Number(port)}`, fixture('plain.js')])
    await until('127.0.0.1 is bound', () => listens('127.0.0.1', Number(port)))
    orphan.kill('SIGKILL')
    await lookout.line(/rests at/)
    expect((await request(lookout.url)).body).to.equal('hello')
  })
})

async function listens(host: string, port: number): Promise<boolean> {
  const socket = net.connect(port, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
