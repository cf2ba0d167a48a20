/** What a worker tells about an app that is starting: what it writes, what ends it, which files it is made of. */
import path from 'node:path'
import type { ToMaster } from './channel.js'

/** Where lookout's own files are. */
const OWN = path.join(__dirname, '..', path.sep)

type Send = (message: ToMaster) => void

/** The most of one write that is passed on: a page shows the tail. */
const OUTPUT = 4096

/**
 * @param watch the master also wants to know each file as it is loaded
 * @param divert lets the master have what node will write to stderr; it passes that on
 */
export function report(send: Send, watch: boolean, divert: () => void): { done(): void } {
  const restore = (['stdout', 'stderr'] as const).map(name => tee(name, text => send({ type: 'output', text })))
  const sendLoaded = () => send({ type: 'loaded', files: loadedFiles() })
  process.on('exit', sendLoaded)
  process.on('uncaughtExceptionMonitor', (error: unknown) => {
    const survives = process.listenerCount('uncaughtException') > 0 || process.hasUncaughtExceptionCaptureCallback()
    if (survives) return
    const { message, stack } = error instanceof Error ? error : { message: error, stack: undefined }
    process.off('exit', sendLoaded)
    sendLoaded()
    send({ type: 'fault', fault: { message: text(message), ...(typeof stack === 'string' && { stack }) } })
    divert()
  })
  if (watch)
    (require('./loaded.js') as typeof import('./loaded.js')).reportLoaded(files => send({ type: 'loaded', files }))
  return {
    done() {
      for (const undo of restore) undo()
    },
  }
}

/** Whatever was thrown. */
function text(message: unknown): string {
  try {
    return String(message)
  } catch {
    return 'something that is no text'
  }
}

function loadedFiles(): string[] {
  return Object.keys(require.cache).filter(file => !file.startsWith(OWN))
}

/** Also shows `see` what is written to a standard stream, which is made no sooner than the app asks for it. */
function tee(name: 'stdout' | 'stderr', see: (text: string) => void): () => void {
  const property = Object.getOwnPropertyDescriptor(process, name)
  const getter = property?.get
  if (!getter || !property.configurable) return () => {}
  let stream: NodeJS.WriteStream | undefined
  Object.defineProperty(process, name, {
    ...property,
    get() {
      if (stream) return stream
      stream = getter.call(process) as NodeJS.WriteStream
      const { write } = stream
      stream.write = function (this: NodeJS.WriteStream, ...args: Parameters<typeof write>) {
        const [chunk] = args as unknown as [string | Uint8Array]
        see((typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()).slice(-OUTPUT))
        return write.apply(this, args)
      } as typeof stream.write
      return stream
    },
  })
  return () => {
    Object.defineProperty(process, name, property)
    if (stream) delete (stream as { write?: unknown }).write
  }
}
