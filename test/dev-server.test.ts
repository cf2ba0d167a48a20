/** A development server by its name: Vite's, whose page is changed in place by what comes over a WebSocket when a file is. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { startBrowser } from './support/browser.js'
import { Folder } from './support/folder.js'
import { cleanups, ROOT, until } from './support/lookout.js'

const PAGE = '<!doctype html><title>shop</title><body><p id="says"></p><script type="module" src="/main.js"></script>'

/** Takes its own successor's place without a reload. */
const MODULE = `export const says = 'first'
const show = text => { document.querySelector('#says').textContent = text }
show(says)
import.meta.hot.accept(module => show(module.says))
`

describe('Vite', () => {
  const browser = startBrowser()

  it('is woken by its name, reloads a page hot, and rests when the tab is closed', async () => {
    const folder = await Folder.make()
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder.path, 'node_modules'))
    fs.mkdirSync(path.join(folder.path, 'shop'))
    const file = (name: string) => path.join(folder.path, 'shop', name)
    fs.writeFileSync(file('index.html'), PAGE)
    fs.writeFileSync(file('main.js'), MODULE)
    const script = path.join(ROOT, 'node_modules/vite/bin/vite.js')
    folder.configure({ shop: { script, cwd: 'shop', args: ['--clearScreen', 'false'], idle: '1s' } })
    await folder.up()
    const context = await browser().newContext()
    cleanups.push(() => context.close())
    const page = await context.newPage()
    let loads = 0
    page.on('load', () => loads++)
    await page.goto(`http://shop.localhost:${folder.gateway}/`)
    await page.getByText('first').waitFor()
    const { master } = folder.app('shop')
    await until('its WebSocket keeps it awake', () => folder.app('shop').why === '1 upgraded connection open')
    expect(folder.run('rest', 'lookout').status, 'the gateway is not needed').to.equal(0)
    fs.writeFileSync(file('main.js'), MODULE.replace('first', 'second'))
    await page.getByText('second').waitFor()
    expect(loads, 'without a reload').to.equal(1)
    expect(folder.app('shop').master).to.equal(master)
    await page.close()
    await until('at rest', () => folder.app('shop').state === 'rests')
  }).timeout(60_000)
})
