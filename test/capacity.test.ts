/** A worker without room leaves connections in the queue: for its peers, or until it has some. */
import { expect } from 'chai'
import { type Reply, request } from './support/client.js'
import { waiting } from './support/kernel.js'
import { hold } from './support/load.js'
import { fixture, Lookout, until } from './support/lookout.js'

const countBy = (replies: Reply[]): number[] => {
  const bodies = replies.map(({ body }) => body)
  return [...new Set(bodies)].map(body => bodies.filter(other => other === body).length)
}

describe('capacity', () => {
  it("by the server's maxConnections, which ends nobody: all are answered in turn", async () => {
    const lookout = await Lookout.start([fixture('narrow.js'), '--', '--most=1'])
    const replies = await Promise.all(Array.from({ length: 50 }, () => request(lookout.url)))
    expect(replies.map(({ status }) => status)).to.deep.equal(Array(50).fill(200))
  })

  it('leaves what is above it to the workers that have room', async () => {
    const lookout = await Lookout.start(['-w', '2', fixture('narrow.js'), '--', '--most=4'])
    await request(lookout.url)
    await until('two workers', () => lookout.count(/worker \d pid \d+ ready/) === 2)
    const { replies, errors } = hold(lookout.url, 8)
    await until('eight answers', () => replies.length + errors.length === 8)
    expect(errors).to.deep.equal([])
    expect(countBy(replies)).to.deep.equal([4, 4])
  })

  it('by the limit of open files: the app keeps some, and who waits is answered later', async () => {
    const limited = ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh']
    const lookout = await Lookout.start([fixture('narrow.js')], { under: limited })
    const { agent, replies, errors } = hold(lookout.url, 200)
    let seen = 0
    let alike = 0
    await until('as many as it has room for', () => {
      alike = replies.length === seen && seen + waiting(lookout.port) === 200 ? alike + 1 : 0
      seen = replies.length
      return seen > 0 && alike === 40
    })
    expect(seen).to.be.within(20, 100)
    agent.maxFreeSockets = 0 // from now on they are closed once answered
    await until('all', () => {
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
      return replies.length + errors.length === 200
    })
    expect(errors).to.deep.equal([])
    expect(replies.filter(({ status }) => status !== 200)).to.deep.equal([])
  })
})
