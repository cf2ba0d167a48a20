/** What V8 compiled is kept over wakes, where Node can (22.1 and later), in a folder that is ours alone. */
import fs from 'node:fs'
import module from 'node:module'
import path from 'node:path'
import { expect } from 'chai'
import { request } from './support/client.js'
import { fixture, Lookout, temporaryFolder, until } from './support/lookout.js'

const isKept = 'enableCompileCache' in module

function filesIn(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => fs.statSync(path.join(folder, name)).isFile())
}

/** Lets an app be awake for long enough to have settled: how many files that has made in a folder, beyond lookout's own. */
async function wake(env: NodeJS.ProcessEnv, home: string): Promise<number> {
  const lookout = await Lookout.start(['--idle', '300ms', fixture('kinds/express.js')], { env })
  const before = filesIn(home).length
  await request(lookout.url)
  await lookout.rests()
  return filesIn(home).length - before
}

describe('compiled code', () => {
  it(isKept ? 'is kept in XDG_CACHE_HOME' : 'is not kept by this Node', async () => {
    const home = temporaryFolder()
    expect((await wake({ XDG_CACHE_HOME: home }, home)) > 0).to.equal(isKept)
  })

  it(isKept ? 'is kept in CACHE_DIRECTORY, where a service has one' : 'is not kept for a service either', async () => {
    const [home, own] = [temporaryFolder(), temporaryFolder()]
    expect((await wake({ XDG_CACHE_HOME: home, CACHE_DIRECTORY: `${own}:/nowhere` }, own)) > 0).to.equal(isKept)
    expect(filesIn(home)).to.deep.equal([])
  })

  if ('flushCompileCache' in module) {
    it('is written while the app is awake: it may be killed', async () => {
      const home = temporaryFolder()
      const lookout = await Lookout.start([fixture('kinds/express.js')], { env: { XDG_CACHE_HOME: home } })
      const before = filesIn(home).length
      await request(lookout.url)
      await until('it is written', () => filesIn(home).length > before)
    })
  }

  it("is the app's own affair where NODE_COMPILE_CACHE is set, and hidden from the app where it is ours", async () => {
    const seen = async (env: NodeJS.ProcessEnv) => {
      const lookout = await Lookout.start([fixture('plain.js')], { env })
      const { NODE_COMPILE_CACHE, LOOKOUT_CACHE } = JSON.parse((await request(lookout.url, '/env')).body)
      return [NODE_COMPILE_CACHE, LOOKOUT_CACHE]
    }
    const home = temporaryFolder()
    const own = path.join(temporaryFolder(), 'own')
    expect(await seen({ XDG_CACHE_HOME: home })).to.deep.equal([undefined, undefined])
    expect(await seen({ XDG_CACHE_HOME: home, NODE_COMPILE_CACHE: own })).to.deep.equal([own, undefined])
  })

  it('is not taken from a folder that others may write to', async () => {
    const home = temporaryFolder()
    fs.mkdirSync(path.join(home, 'lookout'))
    fs.chmodSync(path.join(home, 'lookout'), 0o777)
    await wake({ XDG_CACHE_HOME: home }, home)
    expect(filesIn(home)).to.deep.equal([])
  })

  it('is not kept where NODE_DISABLE_COMPILE_CACHE says so, or there is no home', async () => {
    const home = temporaryFolder()
    await wake({ XDG_CACHE_HOME: home, NODE_DISABLE_COMPILE_CACHE: '1' }, home)
    await wake({ XDG_CACHE_HOME: '/proc/no', HOME: undefined }, home)
    expect(filesIn(home)).to.deep.equal([])
  })
})
