// A server of a protocol of its own, in preforked processes: it asks for a name, a line, and greets.
//
//   node examples/prefork/hello.ts 12345        (Node 22.18 and later)
//   nc localhost 12345
import { createInterface } from 'node:readline/promises'
import { Prefork } from 'lookout'

const prefork = new Prefork(Number(process.argv[2] ?? 12345), { maxProcesses: 100, maxIdle: 100 })

process.on('SIGTERM', () => prefork.stop())
process.on('SIGINT', () => prefork.stop())

prefork.start(async (socket, address, child) => {
  const lines = createInterface({ input: socket, output: socket })
  const name = await lines.question('What is your name? ')
  socket.write(`Hello, ${name} at ${address.address}. This is process ${child.pid}.\n`)
})
