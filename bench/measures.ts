/** What is measured, by the name that the command line knows it by, in the order of the table. */
import { end, furtherApps, memory } from './at-rest.ts'
import { firstRequest } from './first-request.ts'
import type { Measure } from './sampling.ts'
import * as servers from './servers.ts'
import { latency, load, spread } from './warm.ts'

const CLUSTERS = [servers.lookout, servers.clusterRoundRobin, servers.clusterShared]

export const MEASURES: Record<string, Measure> = {
  hello: firstRequest('hello'),
  express: firstRequest('express'),
  fastify: firstRequest('fastify'),
  keepalive1: load('keep-alive, 1 worker', 'requests/s', 1, [...CLUSTERS, servers.node]),
  keepalive2: load('keep-alive, 2 workers', 'requests/s', 2, CLUSTERS),
  keepalive4: load('keep-alive, 4 workers', 'requests/s', 4, [...CLUSTERS, servers.pm2]),
  name: load('keep-alive, 2 workers of lookout up', 'requests/s', 2, [servers.byPort, servers.byName]),
  close: load(
    'new connections, 4 workers',
    'connections/s',
    4,
    [...CLUSTERS, servers.clusterReusePort, servers.pm2],
    'Connection: close',
  ),
  spread,
  latency,
  memory,
  apps: furtherApps,
  end,
}
