const where = require('./serve.cjs')
const fastify = require('fastify')
const http = require('node:http')

// Fastify's own listen() takes no descriptor: the server is made here, and listens as the other apps' do.
const app = fastify({ serverFactory: handler => http.createServer(handler) })
app.get('/', async () => 'hello')
app.ready().then(() => app.server.listen(where))
