/** A real browser: Debian's. */
import fs from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { skipWithout } from './missing.js'

const CHROMIUM = '/usr/bin/chromium'

/** For the tests of a describe(), which are not run where there is none. @returns gives it, in a test */
export function startBrowser(): () => Browser {
  let browser: Browser | undefined

  before(async function () {
    skipWithout(this, fs.existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is needed`)
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  })

  after(() => browser?.close())

  return () => browser!
}
