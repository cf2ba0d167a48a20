/** What the gateway says itself: which apps there are, to who asks for none of them. */

/** An app, as the gateway knows it. */
export interface Known {
  name: string
  /** The names that it is reached by; the first is shown. */
  hosts: string[]
  /** The unix socket on which it is handed connections. */
  handoff: string
  /** Where else it is. */
  urls: string[]
  /** The gateway's own port. */
  port: number
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.4rem}ul{list-style:none;padding:0}li{padding:.5rem 0;border-bottom:1px solid light-dark(#ddd,#333)}small{opacity:.7;margin-left:1rem}`

function page(title: string, known: Known[]): string {
  const items = known.map(({ hosts, port, urls }) => {
    const url = `http://${hosts[0]}:${port}/`
    return `<li><a href="${escapeHtml(url)}">${escapeHtml(hosts[0]!)}</a><small>${escapeHtml(urls.join(', '))}</small></li>`
  })
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
<ul>${items.join('\n')}</ul>
</html>
`
}

export function overview(known: Known[]): string {
  return page(`${known.length} app${known.length === 1 ? '' : 's'}`, known)
}

export function notFound(known: Known[], host: string): string {
  return page(host === '' ? 'There is no such app' : `There is no app at ${host}`, known)
}
