/** Apps of a test's own, which it can break and mend. */
import fs from 'node:fs'
import path from 'node:path'
import { temporaryFolder } from './lookout.js'

export const GOOD = "require('node:http').createServer((request, response) => response.end('fixed')).listen(3000)\n"
export const THROWS = "console.log('\\u001b[31mreading\\u001b[0m config')\nthrow new Error('no <database>')\n"

/** Before an app: it leaves a mark of each start. */
export const COUNT = "require('node:fs').appendFileSync(__filename + '.boots', Date.now() + '\\n');"

/** An app of that text, in a folder of its own. */
export function app(text: string, name = 'app.js'): string {
  const file = path.join(temporaryFolder(), name)
  fs.writeFileSync(file, text)
  return file
}

/** When an app that begins with {@link COUNT} was started, ms since 1970. */
export function boots(file: string): number[] {
  return fs.existsSync(`${file}.boots`) ? fs.readFileSync(`${file}.boots`, 'utf8').trim().split('\n').map(Number) : []
}
