/** Nowhere to write: a full disk, one that is read-only, a log that nobody reads. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { app } from '../support/app.js'
import { request } from '../support/client.js'
import { fault } from '../support/faults.js'
import { Folder } from '../support/folder.js'
import { failures, load } from '../support/load.js'
import { cleanups, fixture, isAlive, Lookout, temporaryFolder, until } from '../support/lookout.js'
import { skipWithout } from '../support/missing.js'
import { amongMountsOf, cannotRun, withSmallDisk } from '../support/namespace.js'
import { freePort } from '../support/program.js'

/** Says 1,000 bytes for each request. */
const TALKS = `require('node:http').createServer((request, response) => {
  console.log('x'.repeat(1000))
  response.end('hello')
}).listen(3000)
`

/** kB of the disk. */
const SIZE = 128

/** A lookout that writes to a small disk of its own: seen from here, a folder of that. */
async function onSmallDisk(options: (disk: string) => string[]) {
  const [folder, disk] = [await Folder.make(), temporaryFolder()]
  const args = ['--name', 'app', '--idle', '500ms', ...options(disk), app(TALKS)]
  const lookout = await Lookout.start(args, { env: folder.env, under: withSmallDisk(disk, SIZE) })
  const seen = `/proc/${lookout.pid}/root${disk}`
  await request(lookout.url)
  await until('statistics', () => fs.existsSync(`${seen}/stats.json`))
  return { lookout, disk, seen, status: async () => (await folder.start('status', 'app')).text }
}

/** Requests, until something has come to be. */
async function servedUntil(url: string, what: string, condition: () => boolean | Promise<boolean>): Promise<number> {
  const clients = load(url, { clients: 4, keepAlive: true, right: ({ body }) => body === 'hello' })
  await until(what, () => clients.counts.ok > 1000 && condition())
  const counts = await clients.stop()
  expect(failures(counts), clients.errors.join('\n')).to.equal(0)
  return counts.ok
}

/** It woke another time, and rests: nothing of it waits for the disk. */
async function goesOn(lookout: Lookout): Promise<void> {
  await lookout.rests()
  expect((await request(lookout.url)).body).to.equal('hello')
  await lookout.rests()
}

function fill(file: string): void {
  for (const size of [4096, 1]) {
    try {
      for (;;) fs.appendFileSync(file, Buffer.alloc(size))
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).to.equal('ENOSPC')
    }
  }
}

/** The disk is full, of statistics and of the log. */
async function full(): Promise<number> {
  const { lookout, seen, status } = await onSmallDisk(disk => ['--stats-file', `${disk}/stats.json`, '--log', disk])
  fill(`${seen}/fill`)
  const served = await servedUntil(lookout.url, 'it says so', async () =>
    /degraded: cannot write \S+stats\.json: ENOSPC/.test(await status()),
  )
  const length = fs.statSync(`${seen}/app.log`).size
  await goesOn(lookout)
  expect(fs.statSync(`${seen}/app.log`).size, 'there was no room').to.be.at.most(length + 4096)
  fs.rmSync(`${seen}/fill`)
  await request(lookout.url)
  await until('well again', async () => {
    await request(lookout.url)
    return !(await status()).includes('degraded') && fs.statSync(`${seen}/stats.json`).size > 100
  })
  expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  return served
}

/** The disk becomes read-only, and is so no more. */
async function readOnly(): Promise<number> {
  const { lookout, disk, status } = await onSmallDisk(disk => ['--stats-file', `${disk}/stats.json`])
  const remount = (mode: string) => amongMountsOf(lookout.pid, 'mount', '-o', `remount,${mode}`, disk)
  await until('read-only', () => remount('ro')) // it is busy while something is being written
  const served = await servedUntil(lookout.url, 'it says so', async () =>
    /degraded: cannot write \S+stats\.json: EROFS/.test(await status()),
  )
  expect(lookout.count(/cannot write/), 'said once').to.equal(1)
  await goesOn(lookout)
  expect(remount('rw')).to.equal(true)
  await request(lookout.url)
  await until('well again', async () => {
    await request(lookout.url)
    return /^app: awake(?!.*degraded)/.test(await status())
  })
  return served
}

/** Standard error is a pipe that is full, and stays so. */
async function mute(): Promise<number> {
  const pipe = path.join(temporaryFolder(), 'pipe')
  execFileSync('mkfifo', [pipe])
  const fd = fs.openSync(pipe, fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
  cleanups.push(() => fs.closeSync(fd))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const args = ['-l', `127.0.0.1:${port}`, '-w', '2', '--idle', '500ms', fixture('plain.js')]
  const lookout = Lookout.spawn(args, { under: ['sh', '-c', 'exec "$@" 2>"$0"', pipe] })
  let said = ''
  const buffer = Buffer.alloc(4096)
  await until('it rests', () => {
    said += buffer.toString('utf8', 0, fs.readSync(fd, buffer))
    return said.includes(' rests at ')
  })
  try {
    for (;;) fs.writeSync(fd, buffer)
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).to.equal('EAGAIN')
  }
  const served = await servedUntil(url, 'two workers', () => lookout.workers.length === 2)
  const [victim] = lookout.workers
  process.kill(victim!, 'SIGKILL')
  await until('gone', () => !isAlive(victim!))
  await until('replaced, which is said', () => lookout.workers.length === 2)
  await lookout.rests()
  expect((await request(url)).body).to.equal('hello')
  expect(await lookout.stop()).to.deep.equal({ code: 0, signal: null })
  return served
}

describe('nowhere to write', () => {
  fault(24, 'ENOSPC, EROFS, a full log pipe', 'serving goes on, status says degraded', async function () {
    skipWithout(this, cannotRun(withSmallDisk(temporaryFolder(), SIZE)))
    const counts = [await full(), await readOnly(), await mute()]
    const [first, second, third] = counts.map(count => count.toLocaleString('en'))
    return `0 of ${first} requests lost on a full disk, of ${second} on a read-only one, of ${third} beside a full pipe`
  })
})
