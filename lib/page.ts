/** What a visitor gets while an app fails: a page, JSON or text, as asked for; one plain sentence in production. */
import { escapeHtml, plain } from './text.js'

export interface Failing {
  name: string
  /** What failed, in a line: "the app threw while it was loading" */
  what: string
  message?: string
  stack?: string
  /** The tail of what the app wrote while it was starting. */
  output?: string
  /** s */
  retryAfter: number
}

export interface Page {
  type: string
  body: string
}

function section(title: string, text: string | undefined): string {
  return text?.trim() ? `<h2>${title}</h2><pre>${escapeHtml(plain(text.trim()))}</pre>` : ''
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}p{margin:.5rem 0}
pre{font:13px/1.5 ui-monospace,monospace;padding:1rem;overflow:auto;border-radius:6px;background:light-dark(#f4f4f5,#232326)}
.message{border-left:4px solid #d33;padding-left:1rem;font-weight:600;white-space:pre-wrap;overflow-wrap:anywhere}`

function html({ name, what, message, stack, output, retryAfter }: Failing): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(name)} does not run</title><style>${STYLE}</style>
<h1>${escapeHtml(name)} does not run</h1>
<p>${escapeHtml(what.charAt(0).toUpperCase() + what.slice(1))}. Fix it and reload this page; without a change, the next try is in ${retryAfter} s.</p>
${message ? `<p class="message">${escapeHtml(plain(message))}</p>` : ''}
${section('Stack', stack)}${section('What it wrote last', output)}
</html>
`
}

function text({ name, what, message, stack, output, retryAfter }: Failing): string {
  const parts = [
    `${name} does not run: ${what}. Next try in ${retryAfter} s.`,
    stack ?? message,
    output && `It wrote last:\n${output.trim()}`,
  ]
  return `${plain(parts.filter(Boolean).join('\n\n'))}\n`
}

/** The first of the types that a client names, as it prefers; a browser names text/html. */
function preferred(accept: string): 'html' | 'json' | 'text' {
  for (const range of accept.toLowerCase().split(',')) {
    const type = range.split(';', 1)[0]?.trim()
    if (type === 'text/html' || type === 'application/xhtml+xml') return 'html'
    if (type === 'application/json' || type?.endsWith('+json')) return 'json'
    if (type === 'text/plain') return 'text'
  }
  return 'text'
}

/** @param production says nothing about the app's insides */
export function render(failing: Failing, accept: string, production: boolean): Page {
  const shown: Failing = production
    ? { name: failing.name, what: 'it could not be started', retryAfter: failing.retryAfter }
    : failing
  switch (preferred(accept)) {
    case 'json': {
      const { name, ...rest } = shown
      const error = production ? 'The service is unavailable.' : `${name} does not run`
      const details = production ? { retryAfter: rest.retryAfter } : rest
      return { type: 'application/json', body: `${JSON.stringify({ error, ...details })}\n` }
    }
    case 'html':
      if (production)
        return {
          type: 'text/html; charset=utf-8',
          body: '<!doctype html><p>The service is unavailable, please try again.</p>\n',
        }
      return { type: 'text/html; charset=utf-8', body: html(shown) }
    case 'text':
      return {
        type: 'text/plain; charset=utf-8',
        body: production ? 'The service is unavailable, please try again.\n' : text(shown),
      }
  }
}
