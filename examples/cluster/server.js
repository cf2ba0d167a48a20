// The example of express/ in four workers, in a program of our own, which never rests.
//
//   node examples/cluster/server.js
//   kill -USR2 PID   restarts the workers one by one; TERM ends them
const path = require('node:path')
const { Cluster } = require('lookout')

const cluster = new Cluster({
  app: path.join(__dirname, '../express/app.js'),
  listen: process.env.PORT ?? 'localhost:3000',
  workers: 4,
  onWorkerExit: (pid, status) => console.error(`worker ${pid} has ended with ${status}`),
})

cluster.run().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})
