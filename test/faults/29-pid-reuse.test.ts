/** Pids that are another's by now. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { expect } from 'chai'
import { fault } from '../support/faults.js'
import { cleanups, MARK } from '../support/lookout.js'
import { notRoot, skipWithout } from '../support/missing.js'
import { cannotRun, withOwnPids } from '../support/namespace.js'

describe('pids that are used again', () => {
  fault(29, 'a stranger has the pid of a killed worker, master, lookout', '0 signals to it', async function () {
    skipWithout(this, notRoot() ?? cannotRun(withOwnPids))
    const [name, value] = MARK.split('=') as [string, string]
    // A shell is the first process: it reaps whoever comes to it, and a pid is free only then.
    const inside = [
      'sh',
      '-c',
      '"$@"; exit $?',
      'sh',
      process.execPath,
      path.join(__dirname, '../support/pid-reuse.js'),
    ]
    const [file, ...args] = [...withOwnPids, ...inside] as [string, ...string[]]
    const child = spawn(file, args, { env: { ...process.env, [name]: value } })
    cleanups.push(() => void child.kill('SIGKILL'))
    let [said, wrong] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => {
      said += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      wrong += text
    })
    const code = await new Promise(resolve => child.on('close', resolve))
    expect(code, wrong).to.equal(0)
    const signals: Record<string, string[]> = JSON.parse(said)
    expect(signals).to.deep.equal({ worker: [], master: [], itself: [] })
    const count = Object.keys(signals).length
    return `0 signals to ${count} strangers, whom ${count} pids were given`
  })
})
