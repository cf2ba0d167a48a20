/** A client that sends bytes as they are, and gives back what comes, byte by byte: one character each. */
import net from 'node:net'
import { cleanups } from './lookout.js'

export interface RawOptions {
  /** ms between two parts. */
  pause?: number
  /** Closes our side after the last part. */
  eof?: boolean
  /** ms of silence after which we leave, and say so in the answer: {@link OPEN}. */
  patience?: number
}

/** Ends an answer whose connection was still open. */
export const OPEN = '[open]'

export interface Answer {
  /** A character each byte. */
  text: string
  /** The connection was reset: of what was on its way to us, some may be missing. */
  wasReset: boolean
}

/**
 * What comes back for these parts, until the connection ends.
 * @param to a port of 127.0.0.1, or the path of a unix socket
 * @param parts a pattern is waited for in the answer before what follows it is sent
 */
export function raw(
  to: number | string,
  parts: readonly (string | RegExp)[],
  options: RawOptions = {},
): Promise<Answer> {
  const { pause = 0, eof = false, patience } = options
  return new Promise((resolve, reject) => {
    const socket = typeof to === 'number' ? net.connect(to, '127.0.0.1') : net.connect(to)
    const destroy = () => void socket.destroy()
    cleanups.push(destroy)
    const left = [...parts]
    let text = ''
    let wasReset = false
    const next = () => {
      const [part] = left
      if (!socket.writable || (part instanceof RegExp && !part.test(text))) return
      left.shift()
      if (typeof part === 'string' && part !== '') socket.write(part, 'latin1')
      if (left.length > 0)
        setTimeout(() => setImmediate(next), pause) // what has come by then is read first
      else if (eof && part !== undefined) socket.end()
    }
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk
      if (left[0] instanceof RegExp) next()
    })
    // So a server closes that has not read all.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      wasReset = ['ECONNRESET', 'EPIPE'].includes(error.code ?? '')
      if (!wasReset) reject(error)
    })
    if (patience !== undefined) {
      socket.setTimeout(patience, () => {
        text += OPEN
        socket.destroy()
      })
    }
    socket.on('close', () => {
      const index = cleanups.indexOf(destroy)
      if (index >= 0) cleanups.splice(index, 1) // thousands would be kept until the test's end
      resolve({ text, wasReset })
    })
    socket.on('connect', next)
  })
}
