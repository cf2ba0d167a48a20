/**
 * What others write, and users, made up by fast-check: it is read as it was meant, or refused in a way that is foreseen, whatever it is.
 * A failure says the seed, by which FUZZ_SEED=... repeats it. The C program has targets of its own: test/native/fuzz.
 */
import fc from 'fast-check'
import { Misuse } from '../../lib/errors.js'

/** ms that a property may take; what it has tried until then has to do. */
export const TIME = 400

const seed = process.env.FUZZ_SEED
fc.configureGlobal({ numRuns: 2000, interruptAfterTimeLimit: TIME, ...(seed && { seed: Number(seed) }) })

/** Any text, and such as is near to what means something. */
export const text = fc.string({ unit: 'binary', maxLength: 40 })
export const near = (...parts: string[]) =>
  fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 3 }))).map(list => list.join(''))

/** Words of an argument vector or environment have no NUL, and are UTF-8. */
export const word = fc.string({ unit: 'binary', maxLength: 20 }).map(text => text.replaceAll('\0', ''))
export const words = fc.array(word, { maxLength: 5 })

/** What `call` gives; undefined where it refuses, which it may do by a Misuse alone. */
export function unlessRefused<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if (error instanceof Misuse && error.message !== '') return undefined
    throw error
  }
}
