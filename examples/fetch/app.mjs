// A web-standard handler: a Request comes in, a Response goes out. No server is in sight.
export default {
  fetch(request) {
    const { pathname } = new URL(request.url)
    if (pathname === '/') return new Response(`Hello from fetch, process ${process.pid}.\n`)
    if (pathname === '/clock') return new Response(ReadableStream.from(clock()))
    return new Response('There is nothing here.\n', { status: 404 })
  },
}

/** Five lines, a second apart: a response that is being streamed keeps the app awake. */
async function* clock() {
  const encoder = new TextEncoder()
  for (let line = 0; line < 5; line++) {
    yield encoder.encode(`${new Date().toISOString()}\n`)
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
}
