/** Which address of lookout's an app's listen() gets, and what becomes of those that it does not want. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { expect } from 'chai'
import { request } from './support/client.js'
import { Folder } from './support/folder.js'
import { cleanups, fixture, Lookout, until } from './support/lookout.js'
import { noNetwork, skipWithout } from './support/missing.js'
import { withPorts } from './support/namespace.js'

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

describe('a free port', () => {
  before(function () {
    skipWithout(this, noNetwork())
  })

  /** Of four ports these leave 40003, of which the IPv4 half of any other is free, too. */
  const NAMED = ['[::1]:40000', '[::1]:40001', '[::1]:40002']
  const under = withPorts(40_000, 40_003)

  it('is free in both families, and none that is named after it', async () => {
    const options = ['localhost:0', ...NAMED].flatMap(address => ['-l', address])
    const lookout = await Lookout.start([...options, fixture('plain.js')], { under })
    expect(lookout.addresses).to.deep.equal(['http://localhost:40003', ...NAMED.map(address => `http://${address}`)])
  })

  it('that an app of lookout up is given is none that another names, or the gateway', async () => {
    const folder = await Folder.make()
    const named = NAMED.slice(1).map((listen, index) => [`app${index}`, { script: 'app.js', listen }])
    folder.configure({ free: { script: 'app.js' }, ...Object.fromEntries(named) }, { gateway: 40_000 })
    await folder.up({}, { under })
    expect(folder.app('free').urls).to.deep.equal(['http://localhost:40003'])
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
