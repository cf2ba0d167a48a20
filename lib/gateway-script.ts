/**
 * What the browser does on the gateway's page: it shows what the event stream says (gateway-stream.ts), and has a button send its
 * request without leaving the page. Without it the page is a form, whose answer is the page anew.
 *
 * A cell is filled only when it has changed, so that nobody's button goes while it is being pressed. The stream is closed while
 * nobody sees the page. Once the gateway has ended it, because nothing changed, it is opened again when somebody is there.
 */
export const SCRIPT = `'use strict'
const form = document.querySelector('form')
const live = document.getElementById('live')
const said = document.getElementById('said')
const rows = () => [...document.querySelectorAll('tbody tr')].map(row => row.dataset.app).join()
let source, paused = false

function open() {
  source?.close()
  paused = false
  source = new EventSource('/events')
  source.onopen = () => { live.textContent = 'Live' }
  source.onerror = () => { if (!paused) live.textContent = 'Not connected' }
  source.addEventListener('all', event => all(JSON.parse(event.data)))
  source.addEventListener('some', event => show(JSON.parse(event.data)))
  source.addEventListener('pause', () => {
    paused = true
    live.textContent = 'Paused: nothing has changed for a while'
  })
}

function all({ token, names, ...rest }) {
  if (names.join() !== rows()) return location.reload() // other apps are held now
  if (form && token) form.elements.token.value = token
  show(rest)
}

function show({ summary, cells }) {
  if (summary !== undefined) document.getElementById('summary').innerHTML = summary
  const states = []
  for (const [id, html] of cells) {
    const cell = document.getElementById(id)
    if (!cell || cell.innerHTML === html) continue
    const wasFocused = cell.contains(document.activeElement)
    const before = cell.querySelector('.state')?.textContent
    cell.innerHTML = html
    if (wasFocused) cell.querySelector('button')?.focus()
    const state = cell.querySelector('.state')?.textContent
    if (state !== before) states.push(cell.parentElement.dataset.app + ' ' + state)
  }
  if (states.length > 0) said.textContent = states.join(', ')
}

async function post(url) {
  const body = new URLSearchParams({ token: form.elements.token.value })
  return fetch(url, { method: 'POST', body, redirect: 'manual' })
}

const parse = async reply => new DOMParser().parseFromString(await reply.text(), 'text/html')

/** A gateway that has rested since has another token. */
async function renew() {
  form.elements.token.value = (await parse(await fetch('/'))).forms[0].elements.token.value
}

form?.addEventListener('submit', async event => {
  event.preventDefault()
  const { formAction, dataset } = event.submitter
  said.textContent = dataset.says
  try {
    let reply = await post(formAction)
    if (reply.status === 403) reply = await renew().then(() => post(formAction))
    if (reply.type !== 'opaqueredirect') said.textContent = (await parse(reply)).querySelector('h1').textContent
  } catch {
    said.textContent = 'lookout does not answer.'
  }
})

document.addEventListener('visibilitychange', () => document.hidden ? source?.close() : open())
for (const type of ['pointermove', 'pointerdown', 'keydown', 'focus']) {
  addEventListener(type, () => { if (paused) open() }, { passive: true })
}
if (!document.hidden) open()
`
