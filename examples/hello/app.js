// An app as it would be without lookout: it reads PORT, it listens, it knows nothing else.
const http = require('node:http')

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.end(`Hello from process ${process.pid}, awake for ${Math.round(process.uptime() * 1000)} ms.\n`)
})

server.listen(process.env.PORT || 3000, () => console.log('listening on', server.address()))
