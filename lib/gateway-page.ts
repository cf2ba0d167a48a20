/** What the gateway says itself: how the apps are, to who asks for itself; which there are, to who asks for none of them. */

import type { Seen } from './apps.js'
import type { Known } from './gateway-known.js'
import { SCRIPT } from './gateway-script.js'
import { STYLE } from './gateway-style.js'
import { escapeHtml, plain, plural } from './text.js'

export interface Overview {
  apps: Seen[]
  /** Of the gateway: the one that a client has come by. */
  port: number
  lookout: number
  /** What a button has to send; undefined where there are to be none. */
  token: string | undefined
}

/** Of the columns, after the app's name: what its cells are called, and their class. */
const COLUMNS = [
  ['state', 'State', 'is'],
  ['why', 'Why', 'why'],
  ['pid', 'Pid', 'number'],
  ['memory', 'Memory', 'number'],
  ['requests', 'Requests', 'number'],
  ['wakes', 'Wakes', 'number'],
  ['actions', 'Actions', 'actions'],
] as const

type Column = (typeof COLUMNS)[number][0]

/** Whatever an app has said, as text. */
const shown = (text: string): string => escapeHtml(plain(text))

/** @param nonce by which the style and the script are known to be ours */
function page(title: string, nonce: string, body: string, script = ''): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${shown(title)}</title><link rel="icon" href="data:,">
<style nonce="${nonce}">${STYLE}</style></head>
<body>
${body}
${script && `<script nonce="${nonce}">${script}</script>`}
</body></html>
`
}

export function overview({ apps, port, lookout, token }: Overview, nonce: string): string {
  const columns = COLUMNS.filter(([column]) => column !== 'actions' || token !== undefined)
  const heads = [['app', 'App', ''], ...columns].map(([column, label, type]) => {
    const text = column === 'actions' ? `<span class="hidden">${label}</span>` : label
    return `<th scope="col" role="columnheader" class="${type}">${text}</th>`
  })
  const rows = apps.map(app => {
    const html = cellsOf(app)
    const cells = columns.map(([column, label, type]) => {
      const id = `${column}.${app.name}`
      return `<td role="cell" id="${id}" class="${type}" data-label="${label}">${html[column]}</td>`
    })
    const links = linksOf(app, port)
    const name = `<span class="name">${shown(app.name)}</span><ul class="at">${links}</ul>`
    return `<tr role="row" data-app="${shown(app.name)}"><th scope="row" role="rowheader">${name}</th>\n${cells.join('\n')}</tr>`
  })
  const table = `<table role="table" aria-label="Apps"><thead role="rowgroup"><tr role="row">${heads.join('')}</tr></thead>
<tbody role="rowgroup">
${rows.join('\n')}
</tbody></table>`
  const form = `<form method="post"><input type="hidden" name="token" value="${token}" autocomplete="off">${table}</form>`
  const body = `<header><h1>${plural(apps.length, 'app')}</h1><p id="summary">${summaryOf(apps)}</p>
<p id="live"><noscript>Reload to see what has changed.</noscript></p></header>
<p id="said" role="status"></p>
<main>${token === undefined ? table : form}</main>
<footer>Held by lookout ${lookout}.</footer>`
  return page(plural(apps.length, 'app'), nonce, body, SCRIPT)
}

/** All that changes about an app, as it is shown. */
export function cellsOf({ name, state, hosts, master, rss, record }: Seen): Record<Column, string> {
  const { changedAt, requests, wakes } = record
  const since = changedAt > 0 && state !== 'fails' ? `<small class="soft">since ${clock(changedAt)}</small>` : ''
  return {
    state: `<span class="state ${state}">${state}</span>${since}`,
    why: reasons(state, record).join(''),
    pid: master === undefined ? '–' : `${master}`,
    memory: megabytes(rss),
    requests: grouped(requests),
    wakes: grouped(wakes),
    actions: buttons(name, state, hosts.length > 0),
  }
}

function reasons(state: Seen['state'], record: Seen['record']): string[] {
  const { why, wakes, bootError, restart, restartFailed, restartsBegun, restartsEnded } = record
  const isRestarting = state !== 'rests' && restartsBegun > restartsEnded
  const told = isRestarting ? 'it is being restarted' : why || (wakes === 0 ? 'it was not woken yet' : '')
  const small = (text: string, type = 'soft') => `<small class="${type}">${shown(text)}</small>`
  const parts: string[] = []
  if (state === 'fails') parts.push(`<div class="error">${shown(bootError)}</div>`)
  else if (told) parts.push(`<div>${shown(told)}</div>`)
  if (restart && !isRestarting)
    parts.push(restartFailed ? small(`Last restart failed: ${restart}`, 'error') : small(`Last restart: ${restart}`))
  if (bootError && state !== 'fails') parts.push(small(`It once failed: ${bootError}`))
  return parts
}

/** @param isOurs whether the gateway can wake it: what is reached by its addresses alone is woken there */
function buttons(name: string, state: Seen['state'], isOurs: boolean): string {
  const button = (action: string, label: string, says: string) =>
    `<button formaction="/${action}/${name}" data-says="${says} ${name} …">${label}<span class="hidden"> ${name}</span></button>`
  if (state === 'rests') return isOurs ? button('wake', 'Wake', 'Waking') : ''
  return `${button('rest', 'Rest', 'Putting to rest')}${button('restart', 'Restart', 'Restarting')}`
}

export function summaryOf(apps: Seen[]): string {
  const count = (state: Seen['state']) => apps.filter(app => app.state === state).length
  const [awake, fail, rest] = [count('awake'), count('fails'), count('rests')]
  const parts = [
    `${awake} awake`,
    ...(fail > 0 ? [`${fail} fail${fail === 1 ? 's' : ''}`] : []),
    `${rest} rest${rest === 1 ? 's' : ''}`,
  ]
  return `${parts.join(', ')}; ${megabytes(apps.reduce((sum, { rss }) => sum + rss, 0))}`
}

/** To who asks for a host that is no app's. */
export function notFound(known: Known[], host: string, port: number, nonce: string): string {
  const title = host === '' ? 'There is no such app' : `There is no app at ${host}`
  const items = known.map(({ hosts, urls }) => {
    const link = `<a href="${shown(`http://${hosts[0]}:${port}/`)}">${shown(hosts[0]!)}</a>`
    return `<li>${link}<span class="soft">${shown(urls.join(', '))}</span></li>`
  })
  return page(title, nonce, `<h1>${shown(title)}</h1>\n<ul class="list">${items.join('\n')}</ul>`)
}

/** That something was not done, and how to go on. */
export function refused(why: string, nonce: string): string {
  return page(why, nonce, `<h1>${shown(why)}</h1>\n<p><a href="/">The apps</a></p>`)
}

function linksOf({ hosts, urls }: Seen, port: number): string {
  const named = hosts.map(host => [`http://${host}:${port}/`, host])
  const others = urls.map(url => [url.startsWith('http') ? `${url}/` : '', url.replace(/^http:\/\//, '')])
  const items = [...named, ...others].map(([url = '', text = '']) =>
    url === '' ? shown(text) : `<a href="${shown(url)}">${shown(text)}</a>`,
  )
  return items.map(item => `<li>${item}</li>`).join('')
}

/** 14:02, with the date where it is another day's: as this machine has it. */
function clock(time: number): string {
  const local = (ms: number) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString()
  const at = Math.min(time, Date.now())
  const [day, hours] = [local(at).slice(0, 10), local(at).slice(11, 16)]
  const text = day === local(Date.now()).slice(0, 10) ? hours : `${day} ${hours}`
  return `<time datetime="${day}T${hours}">${text}</time>`
}

function megabytes(bytes: number): string {
  return `${grouped(Math.round(bytes / 2 ** 20))} MB`
}

function grouped(count: number): string {
  return `${count}`.replace(/\B(?=(\d{3})+$)/g, ',')
}
