const http = require('node:http')

http
  .createServer((request, response) => response.end(request.url === '/pid' ? String(process.pid) : 'hello'))
  .listen(require('./serve.cjs'))
