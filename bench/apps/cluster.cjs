/** node:cluster as its documentation has it: cluster.cjs APP WORKERS. The policy is NODE_CLUSTER_SCHED_POLICY's. */
const cluster = require('node:cluster')

const [app, workers] = process.argv.slice(2)
cluster.setupPrimary({ exec: app })
for (let index = 0; index < Number(workers); index++) cluster.fork()
