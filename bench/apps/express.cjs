const express = require('express')

const app = express()
app.get('/', (_request, response) => response.send('hello'))
require('node:http').createServer(app).listen(require('./serve.cjs'))
