/** Which requests wake an app and keep it awake, as a configuration's `ignore` and `wakeOn` say. */
import type http from 'node:http'

/** A request is meant where all of these are as they are written; * stands for anything. */
export interface Rule {
  /** Without what follows a ?. */
  path?: string
  method?: string
  userAgent?: string
  /** The protocol that is asked for, as websocket. */
  upgrade?: string
}

export interface Rules {
  /** These do not count. */
  ignore?: Rule[]
  /** No others count. */
  wakeOn?: Rule[]
}

export type Request = Pick<http.IncomingMessage, 'method' | 'url' | 'headers'>

/** Whether a request counts. */
export function counts(request: Request, { ignore = [], wakeOn }: Rules): boolean {
  const meant = (rule: Rule) => isMeant(request, rule)
  return !ignore.some(meant) && (wakeOn === undefined || wakeOn.some(meant))
}

function isMeant({ method = '', url = '', headers }: Request, rule: Rule): boolean {
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*/s, '')
  const has = { path, method, userAgent: headers['user-agent'] ?? '', upgrade: headers.upgrade ?? '' }
  return Object.entries(rule).every(([key, pattern]: [string, string]) =>
    key === 'path' ? isLike(path, pattern) : isLike(has[key as keyof Rule].toLowerCase(), pattern.toLowerCase()),
  )
}

/** In one pass, whatever a client sends: no regular expression would be. */
function isLike(text: string, pattern: string): boolean {
  const [head = '', ...parts] = pattern.split('*')
  const tail = parts.pop()
  if (tail === undefined) return text === head
  if (!text.startsWith(head)) return false
  let at = head.length
  for (const part of parts) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - tail.length >= at && text.endsWith(tail)
}
