/** The corpus of the fuzz targets. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { CORPUS, seeds } from './fuzz/seeds.js'

describe('the corpus of test/native/fuzz', () => {
  it('is what lookout writes today: node dist/test/native/fuzz/seeds.js', () => {
    for (const [target, files] of Object.entries(seeds())) {
      for (const [name, bytes] of Object.entries(files)) {
        const kept = fs.readFileSync(path.join(CORPUS, target, name))
        expect(kept.equals(bytes), `${target}/${name}`).to.equal(true)
      }
    }
  })
})
