/** Serves an app that exports what it serves with, and does not listen by itself. */
import http from 'node:http'
import net from 'node:net'
import { pathToFileURL } from 'node:url'

type RequestListener = http.RequestListener

interface Exported {
  default?: unknown
  /** Koa */
  callback?(): RequestListener
  /** Hono, and every object with a fetch(Request) */
  fetch?(request: Request): Response | Promise<Response>
  /** Fastify */
  ready?(): unknown
  server?: unknown
  listen?(options: object): Promise<unknown>
}

/** What the main module exports, once it has been loaded: `module.exports`, or the default export. */
export async function exportsOfMain(script: string): Promise<unknown> {
  // require.main of this module is what it was before there was one.
  const main = process.mainModule
  const exported = main ? main.exports : await import(pathToFileURL(script).href)
  return (exported as Exported | undefined)?.default ?? exported
}

async function requestListener(exported: unknown): Promise<RequestListener | undefined> {
  const { callback, fetch } = exported as Exported
  if (typeof callback === 'function') return (exported as Required<Exported>).callback()
  if (typeof fetch === 'function') {
    const { toNodeHandler } = await import('srvx/node')
    return toNodeHandler(request => (exported as Required<Exported>).fetch(request)) as RequestListener
  }
  const isClass = typeof exported === 'function' && /^class\b/.test(Function.prototype.toString.call(exported))
  return typeof exported === 'function' && !isClass ? (exported as RequestListener) : undefined
}

/**
 * Listens with a (req, res) function, an http.Server or any net.Server, an Express, Koa, Fastify or Hono app, or an
 * object with fetch(Request).
 * @returns false where it is none of them
 */
export async function serve(exported: unknown): Promise<boolean> {
  if (exported === null || (typeof exported !== 'function' && typeof exported !== 'object')) return false
  const { ready, server, listen } = exported as Exported
  if (exported instanceof net.Server) exported.listen()
  else if (typeof ready === 'function' && server instanceof net.Server && typeof listen === 'function') {
    await (exported as Required<Exported>).listen({ port: 0, host: '127.0.0.1' }) // one host: one listen()
  } else {
    const listener = await requestListener(exported)
    if (!listener) return false
    http.createServer(listener).listen()
  }
  return true
}
