/** A checkpoint as one file: taken elsewhere, and taken in. */

import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { SavepointError } from '../../src/errors.js'
import type { Store } from '../../src/store/store.js'
import { savedOf } from './drafts.js'
import { Bench, checkpointOf, codeOf } from './support.js'

let bench: Bench
let store: Store
let elsewhere: Bench
beforeEach(() => {
  bench = new Bench()
  store = bench.open()
  elsewhere = new Bench()
})
afterEach(async () => {
  await bench.dispose()
  await elsewhere.dispose()
})

const bytesMax = 100_000_000
const keyOf = ({ dataDir }: Bench): string => join(dataDir, 'keys', 'checkpoint.key')
/** Nothing is left where drafts lie. */
function leftovers({ dataDir }: Bench): string[] {
  const writing = join(dataDir, 'checkpoints', 'writing')
  return readdirSync(writing, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/'))
}

function trust(from: Bench, to: Bench, name: string): void {
  mkdirSync(join(to.dataDir, 'keys', 'trusted'), { recursive: true })
  copyFileSync(keyOf(from), join(to.dataDir, 'keys', 'trusted', `${name}.key`))
}

test('what another data folder exported is refused, until its key is trusted by name', async () => {
  const big = randomBytes(900_000)
  const id = await savedOf(store, { a: 'one', big }, { name: 'mine', note: 'why' })
  const file = await store.checkpoints.exportBytes(id, bytesMax)
  const other = elsewhere.open('kernel-z')
  await savedOf(other, { a: 'one', b: 'two' })
  expect(await codeOf(other.checkpoints.importFrom(file))).toBe('foreign_checkpoint')
  for (const name of ['home', '../checkpoint', '', 'a/b']) {
    expect(await codeOf(other.checkpoints.importFrom(file, { trust: name }))).toBe('foreign_checkpoint')
  }
  trust(bench, elsewhere, 'home')
  const record = await other.checkpoints.importFrom(file, { trust: 'home', kernelId: 'kernel-z' })
  expect(record).toMatchObject({ name: 'mine', note: 'why', kernel_id: 'kernel-z', parent_id: null, format_version: 2 })
  expect(record.checkpoint_id).not.toBe(id)
  expect(await other.checkpoints.validate(record.checkpoint_id)).toEqual({ valid: true, damaged: [] })
  expect((await other.checkpoints.describe(record.checkpoint_id)).objects).toEqual(
    (await store.checkpoints.describe(id)).objects,
  )
  expect(leftovers(elsewhere)).toEqual([])
})

test('it goes through streams and files, and is taken back in where it came from without a second copy', async () => {
  const id = await savedOf(store, { big: randomBytes(3_000_000) })
  const path = join(bench.dataDir, 'out.savepoint')
  await store.checkpoints.exportTo(id, createWriteStream(path))
  expect(readFileSync(path)).toHaveLength((await store.checkpoints.exportBytes(id, bytesMax)).length)
  for (const source of [path, createReadStream(path), readFileSync(path)]) {
    const record = await store.checkpoints.importFrom(source)
    expect(record.written_bytes).toBeLessThan(5_000)
    expect(await store.checkpoints.validate(record.checkpoint_id)).toEqual({ valid: true, damaged: [] })
  }
})

test('one of the first format is taken elsewhere as it is', async () => {
  const id = await checkpointOf(store, 'old')
  const file = await store.checkpoints.exportBytes(id, bytesMax)
  trust(bench, elsewhere, 'home')
  const other = elsewhere.open()
  const record = await other.checkpoints.importFrom(file, { trust: 'home' })
  expect(record).toMatchObject({ name: 'old', format_version: 1 })
  expect(await other.checkpoints.validate(record.checkpoint_id)).toEqual({ valid: true, damaged: [] })
})

test('what one owner exported, no other takes in', async () => {
  const ann = bench.open('kernel-a', bench.dataDir, 'ann')
  const bob = bench.open('kernel-b', bench.dataDir, 'bob')
  const file = await ann.checkpoints.exportBytes(await savedOf(ann, { a: 'one' }), bytesMax)
  expect(await codeOf(bob.checkpoints.importFrom(file))).toBe('foreign_checkpoint')
  expect(await codeOf(bob.checkpoints.importFrom(file, { owner: 'ann' }))).toBe('forbidden')
  expect(await codeOf(ann.checkpoints.importFrom(file))).toBe('done')
})

test('an import with any byte changed, or cut anywhere, is refused', async () => {
  const objects = async (id: string) => (await store.checkpoints.describe(id)).objects
  const id = await savedOf(store, { a: 'one', b: 'two' })
  const good = await store.checkpoints.exportBytes(id, bytesMax)
  const step = Math.ceil(good.length / 150)
  for (let at = 0; at < good.length; at += step) {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ 0x10
    const taken = await store.checkpoints.importFrom(bytes).catch((error: unknown) => (error as SavepointError).code)
    if (typeof taken === 'string') expect(['damaged_checkpoint', 'foreign_checkpoint']).toContain(taken)
    else {
      // Packing has a few bits that mean nothing: what comes out of it is still what its digest says.
      expect(await store.checkpoints.validate(taken.checkpoint_id)).toEqual({ valid: true, damaged: [] })
      expect(await objects(taken.checkpoint_id)).toEqual(await objects(id))
      await store.checkpoints.remove(taken.checkpoint_id)
    }
    const cut = good.subarray(0, at)
    expect(await codeOf(store.checkpoints.importFrom(cut))).toBe('damaged_checkpoint')
  }
  expect((await store.checkpoints.list()).total_count).toBe(1)
  expect(leftovers(bench)).toEqual([])
})

test('sizes have bounds', async () => {
  const id = await savedOf(store, { big: randomBytes(100_000) })
  expect(await codeOf(store.checkpoints.exportBytes(id, 1_000))).toBe('too_large')
  const file = await store.checkpoints.exportBytes(id, bytesMax)
  // Refused with their first piece, before the file system has made room for it.
  for (let i = 0; i < 10; i += 1) {
    const both = [file, file].map((each) => codeOf(store.checkpoints.importFrom(each, { bytesMax: 1_000 })))
    expect(await Promise.all(both)).toEqual(['too_large', 'too_large'])
  }
  expect(leftovers(bench)).toEqual([])
})

test('an export of what is damaged ends in an error, and one that nobody reads is cancelled', async () => {
  const big = randomBytes(900_000)
  const id = await savedOf(store, { big })
  const closing = new Writable({
    write(_chunk, _encoding, done) {
      done()
      this.destroy()
    },
  })
  expect(await codeOf(store.checkpoints.exportTo(id, closing))).toBe('cancelled')
  const pack = join(bench.dataDir, 'checkpoints', 'packs', `pk_${id.slice(3)}.pack`)
  const bytes = readFileSync(pack)
  const at = bytes.indexOf(big.subarray(300_000, 300_064))
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(pack, bytes)
  expect(await codeOf(store.checkpoints.exportBytes(id, bytesMax))).toBe('damaged_checkpoint')
  expect(await codeOf(store.checkpoints.exportBytes(`cp_${'0'.repeat(32)}`, bytesMax))).toBe('unknown_checkpoint')
})
