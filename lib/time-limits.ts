/** What clients are allowed to take, where lookout's options say so: see http.Server. */
import type http from 'node:http'
import type net from 'node:net'
import type { AppConfig } from './config.js'

/** ms between Node's own looks for requests that are late, where an option sets how late they may be. */
const LATE = 1000

/** The options' time limits, where they are given, are the server's. */
export function limitTime(server: net.Server, { headerTimeout, requestTimeout, keepAliveTimeout }: AppConfig): void {
  const limited = server as http.Server & { connectionsCheckingInterval?: number }
  if (limited.headersTimeout === undefined) return // it speaks no HTTP
  if (headerTimeout !== undefined) limited.headersTimeout = headerTimeout
  if (requestTimeout !== undefined) limited.requestTimeout = requestTimeout
  if (keepAliveTimeout !== undefined) limited.keepAliveTimeout = keepAliveTimeout
  if (headerTimeout !== undefined || requestTimeout !== undefined) limited.connectionsCheckingInterval = LATE
}
