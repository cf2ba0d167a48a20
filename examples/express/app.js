// An Express app that is exported and never listens: lookout serves what it finds in module.exports.
const express = require('express')

const app = express()
app.use(express.json())

app.get('/', (_request, response) => response.type('text').send(`Hello from Express, process ${process.pid}.\n`))
app.post('/echo', (request, response) => response.json(request.body))

// Takes longer than a short --idle: a request in flight keeps the app awake.
app.get('/slow', (_request, response) => setTimeout(() => response.type('text').send('Here you are.\n'), 5000))

module.exports = app
