/** The browser of the tests: Debian's. */
export const CHROMIUM = '/usr/bin/chromium'
