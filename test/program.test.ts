/** Programs that are none of Node's, and take their sockets as systemd gives them. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { at, Folder, ports } from './support/folder.js'
import { childrenOf, cleanups, isAlive, until } from './support/lookout.js'

const PYTHON = `import http.server, os, signal, socket, sys, threading, time
assert os.environ['LISTEN_PID'] == str(os.getpid())
assert not [name for name in os.environ if name.startswith('LOOKOUT_') and not name.startswith('LOOKOUT_TESTS_')]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/slow': time.sleep(1.5)
        body = (' '.join([str(os.getpid()), os.environ.get('SAYS', '')] + sys.argv[1:])).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == '/exit': threading.Thread(target=lambda: (time.sleep(0.1), os._exit(int(sys.argv[1])))).start()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('', 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
`

const C = `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
  if (atoi(getenv("LISTEN_PID")) != getpid() || atoi(getenv("LISTEN_FDS")) != 1) return 9;
  for (;;) {
    char text[64];
    int client = accept(3, NULL, NULL);
    if (client < 0) return 8;
    snprintf(text, sizeof text, "hello from %d\\n", (int)getpid());
    if (write(client, text, strlen(text)) < 0) return 7;
    while (read(client, text, sizeof text) > 0);
    close(client);
  }
}
`

/** The system's: others may be scripts that start it, under another pid. */
const PYTHON3 = fs.existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

/** Holds a program at a port of its own. */
async function held(app: object): Promise<{ folder: Folder; url: string; port: number }> {
  const folder = await Folder.make()
  fs.writeFileSync(path.join(folder.path, 'server.py'), PYTHON)
  const [port] = await ports(1)
  folder.configure({ api: { listen: `127.0.0.1:${port}`, idle: '500ms', ...app } })
  await folder.up()
  return { folder, url: at(port!), port: port! }
}

const pidOf = (body: string) => Number.parseInt(body, 10)

describe('a program that speaks LISTEN_FDS', () => {
  it('in Python is woken, serves, and rests when nobody is connected', async () => {
    const { folder, url } = await held({ command: [PYTHON3, 'server.py', '0'], env: { SAYS: 'hi' } })
    const { body } = await request(url)
    expect(body).to.match(/^\d+ hi 0$/)
    const { master } = folder.app('api')
    expect(childrenOf(childrenOf(master!)[0]!)).to.deep.equal([pidOf(body)])
    await until('at rest', () => folder.app('api').state === 'rests')
    expect(isAlive(pidOf(body))).to.equal(false)
    expect(folder.app('api').why).to.equal('idle 500 ms')
    expect(pidOf((await request(url)).body)).not.to.equal(pidOf(body))
  })

  it('is awake while a client is connected, and finishes what was begun', async () => {
    const { folder, url, port } = await held({ command: [PYTHON3, 'server.py', '0'] })
    const slow = request(url, '/slow')
    expect((await slow).status).to.equal(200)
    const socket = net.connect(port, '127.0.0.1')
    cleanups.push(() => void socket.destroy())
    await until('why', () => folder.app('api').why === 'hold: clients are connected')
    socket.destroy()
    await until('at rest', () => folder.app('api').state === 'rests')
    const last = request(url, '/slow')
    await until('begun', () => folder.app('api').state === 'awake')
    expect(await folder.start('stop')).to.include({ code: 0 })
    expect((await last).status).to.equal(200)
  })

  it('is found by its name, too: the gateway says at which port', async () => {
    const { folder, port } = await held({ command: [PYTHON3, 'server.py', '0'] })
    const options = { method: 'POST', headers: { Host: `api.localhost:${folder.gateway}` } }
    const { status, headers } = await request(at(folder.gateway), '/a?b=%20c', options)
    expect([status, headers.location]).to.deep.equal([307, `http://api.localhost:${port}/a?b=%20c`])
    expect(folder.app('api').wakes).to.equal(0)
  })

  it('that ends by itself is idle; another comes with the next connection', async () => {
    const { folder, url } = await held({ command: [PYTHON3, 'server.py', '0'], idle: '30s' })
    const { body } = await request(url, '/exit')
    expect(body).to.match(/^\d+ {2}0$/)
    await until('gone', () => !isAlive(pidOf(body)))
    expect(pidOf((await request(url)).body)).not.to.equal(pidOf(body))
    expect(folder.app('api').wakes).to.equal(1)
  })

  it('that fails is answered for', async () => {
    const { folder, url } = await held({ command: [PYTHON3, '-c', 'import sys; sys.exit(3)'] })
    const { status, body } = await request(url)
    expect(status).to.equal(503)
    expect(body).to.match(/exited with code 3/)
    await until('status', () => /^api: fails: /m.test(folder.run('status', 'api').stdout))
  })

  it('that is not there is answered for, too', async () => {
    const { url } = await held({ command: ['no-such-program'] })
    const { status, body } = await request(url)
    expect(status).to.equal(503)
    expect(body).to.match(/cannot run no-such-program: it is not there, or is no program/)
  })

  it('in C, over a unix socket', async () => {
    const folder = await Folder.make()
    fs.writeFileSync(path.join(folder.path, 'hello.c'), C)
    const built = spawnSync('gcc', ['-o', path.join(folder.path, 'hello'), path.join(folder.path, 'hello.c')])
    expect(built.status).to.equal(0)
    folder.configure({ api: { command: ['./hello'], listen: './api.sock', idle: '500ms' } })
    await folder.up()
    const socket = net.connect(path.join(folder.path, 'api.sock'))
    cleanups.push(() => void socket.destroy())
    const text = await new Promise(resolve => socket.once('data', data => resolve(data.toString())))
    expect(text).to.match(/^hello from \d+\n$/)
    await until('why', () => folder.app('api').why === 'hold: clients are connected')
    socket.destroy()
    await until('at rest', () => folder.app('api').state === 'rests')
  })

  it('without an address is refused: nobody could reach it', async () => {
    const folder = await Folder.make()
    folder.configure({ api: { command: ['python3'] } })
    const { code, text } = await folder.start('up', folder.file)
    expect(code).to.equal(2)
    expect(text).to.match(/has no "listen"|is wanted/)
  })
})
