// Echoes what a WebSocket says. An open WebSocket keeps the app awake; when the last one is closed, it may rest.
const http = require('node:http')
const { WebSocketServer } = require('ws')

const page = `<!doctype html><meta charset="utf-8"><title>Echo</title>
<p><button onclick="socket.send(new Date().toLocaleTimeString())">Say the time</button>
<button onclick="socket.close()">Close</button>
<pre id="log"></pre>
<script>
const socket = new WebSocket(location.href.replace('http', 'ws'))
const say = text => { log.textContent += text + '\\n' }
socket.onopen = () => say('open')
socket.onmessage = ({ data }) => say('echo: ' + data)
socket.onclose = () => say('closed')
</script>
`

const server = http.createServer((_request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(page)
})

const sockets = new WebSocketServer({ server })
sockets.on('connection', socket => {
  socket.on('error', console.error)
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})

// What is being stopped drains first; then this runs, and says goodbye to who is still connected.
process.on('SIGTERM', () => {
  for (const socket of sockets.clients) socket.close(1001, 'the server goes')
  sockets.close()
  server.close()
})

server.listen(process.env.PORT || 3000)
