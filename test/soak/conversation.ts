/** One request on a connection of its own, as slow as one likes, with what is to be known of it if it fails. */
import net from 'node:net'

export interface Target {
  /** The app's name, which it says. */
  app: string
  port: number
  /** By which the gateway knows it; missing where the port is its own. */
  host?: string
}

/** What is sent, and ms before that. */
export interface Part {
  text: string
  after: number
}

export interface Heard {
  port: number | undefined
  openedAt: number
  begunAt: number
  endedAt: number
  status: number
  isPutOff: boolean
  body: string
  /** An error's code, "cut" or "timeout"; undefined where the answer was whole. */
  error: string | undefined
}

/** ms: more than any back-off, and more than lookout waits for anybody. */
export const PATIENCE = 45_000

export function nothingYet(): Heard {
  const begunAt = performance.now()
  return {
    port: undefined,
    openedAt: begunAt,
    begunAt,
    endedAt: 0,
    status: 0,
    isPutOff: false,
    body: '',
    error: undefined,
  }
}

/** @param deaf ms for which nothing of the answer is read */
export function converse({ port }: Target, parts: Part[], deaf = 0): Promise<Heard> {
  return new Promise(resolve => {
    const heard = nothingYet()
    const chunks: Buffer[] = []
    let timer: NodeJS.Timeout
    const patience = setTimeout(() => socket.destroy(Object.assign(new Error(), { code: 'timeout' })), PATIENCE)
    const send = ([part, ...rest]: Part[]) => {
      if (!part) return
      timer = setTimeout(() => {
        socket.write(part.text)
        send(rest)
      }, part.after)
    }
    const socket = net.connect(port, '127.0.0.1', () => {
      heard.port = socket.localPort
      if (deaf > 0) {
        socket.pause()
        setTimeout(() => socket.resume(), deaf)
      }
    })
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      heard.error = code ?? 'error'
    })
    socket.on('close', () => {
      clearTimeout(timer)
      clearTimeout(patience)
      heard.endedAt = performance.now()
      resolve(read(heard, Buffer.concat(chunks)))
    })
    send(parts)
  })
}

/** A whole answer counts, whatever became of its connection afterwards. */
function read(heard: Heard, bytes: Buffer): Heard {
  const end = bytes.indexOf('\r\n\r\n')
  const head = bytes.toString('latin1', 0, Math.max(0, end))
  const body = bytes.subarray(end + 4)
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
  if (end < 0 || body.length !== length) return { ...heard, error: heard.error ?? 'cut' }
  return {
    ...heard,
    status: Number(/^HTTP\/1\.1 (\d+) /.exec(head)?.[1]),
    isPutOff: /^HTTP\/1\.1 503 /.test(head) && /^retry-after: \d+$/im.test(head),
    body: body.toString(),
    error: undefined,
  }
}
