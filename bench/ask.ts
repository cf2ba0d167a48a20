/** One request as a stranger makes it, and how long its answer took. */
import net from 'node:net'

const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n'

/**
 * ms from connect(2) to the last byte of the answer.
 * @throws the system's error, or that it is not the answer that was expected
 */
export function ask(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    let text = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(REQUEST))
    socket.setEncoding('latin1').on('error', reject)
    socket.on('data', chunk => {
      text += chunk
    })
    socket.on('end', () => {
      const took = performance.now() - begin
      if (/^HTTP\/1\.1 200 /.test(text) && text.includes('hello')) resolve(took)
      else reject(new Error(`expected "hello", got ${JSON.stringify(text.slice(0, 200))}`))
    })
  })
}
