/** Whatever bit of a checkpoint changes: it is found, or what is restored is the same. */

import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, readdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import type { OpenedCheckpoint } from '../../src/store/checkpoints/opening.js'
import type { Store } from '../../src/store/store.js'
import { savedOf } from './drafts.js'
import { Bench, codeOf } from './support.js'

let bench: Bench
let store: Store
beforeEach(() => {
  bench = new Bench()
  store = bench.open()
})
afterEach(() => bench.dispose())

const manifestOf = (id: string): string => join(bench.dataDir, 'checkpoints', `${id}.savepoint`)
const packOf = (id: string): string => join(bench.dataDir, 'checkpoints', 'packs', `pk_${id.slice(3)}.pack`)
/** Every byte in the long run; some, and other ones each time, in the short one. */
const STEP = process.env['RUN_SLOW'] === '1' ? 1 : 5

/** What a worker reads, chunk by chunk; null: it finds a chunk that is not what its digest says. */
function restored({ root, map, packs }: OpenedCheckpoint): string | null {
  const sum = createHash('sha256').update(root ?? '')
  for (let at = 0; map && at < map.length; at += 51) {
    const pack = readFileSync(packs[map.readUInt16BE(at + 32)] ?? '')
    const offset = Number(map.readBigUInt64BE(at + 34))
    const stored = pack.subarray(offset, offset + map.readUInt32BE(at + 42))
    let raw: Buffer
    try {
      raw = map[at + 50] === 1 ? inflateSync(stored) : stored
    } catch {
      return null
    }
    const digest = createHash('sha256').update(raw).digest()
    if (!digest.equals(map.subarray(at, at + 32))) return null
    sum.update(digest)
  }
  return sum.digest('hex')
}

test.each([
  ['its manifest', manifestOf],
  ['its pack', packOf],
])('any changed byte of %s is found, or restores the same', async (_what, pathOf) => {
  const id = await savedOf(store, { a: 'one', b: 'two' })
  const path = pathOf(id)
  const good = readFileSync(path)
  const whole = restored(await store.checkpoints.open(id))
  let found = 0
  for (let at = Math.floor(Math.random() * STEP); at < good.length; at += STEP) {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    writeFileSync(path, bytes)
    let seen: string | null = null
    try {
      seen = restored(await store.checkpoints.open(id))
    } catch (error) {
      expect(['damaged_checkpoint', 'foreign_checkpoint']).toContain((error as { code?: string }).code)
    }
    if (seen === null) found += 1
    else expect([at, seen]).toEqual([at, whole])
  }
  writeFileSync(path, good)
  // Of the pack, table and label are not what a restore goes by.
  expect(found * STEP).toBeGreaterThan(pathOf === manifestOf ? good.length - 2 * STEP : good.length / 4)
  expect(restored(await store.checkpoints.open(id))).toBe(whole)
})

test('a manifest that is cut anywhere, or goes on, is damaged', async () => {
  const id = await savedOf(store, { a: 'one' })
  const good = readFileSync(manifestOf(id))
  for (let length = 0; length < good.length; length += STEP * 7) {
    truncateSync(manifestOf(id), 0)
    writeFileSync(manifestOf(id), good.subarray(0, length))
    expect(await codeOf(store.checkpoints.open(id))).toBe('damaged_checkpoint')
  }
  writeFileSync(manifestOf(id), Buffer.concat([good, Buffer.alloc(1)]))
  expect(await codeOf(store.checkpoints.open(id))).toBe('damaged_checkpoint')
})

test('an older manifest in the place of a newer one is refused, and so is one of another folder', async () => {
  const older = await savedOf(store, { a: 'one' })
  const newer = await savedOf(store, { a: 'two' })
  const good = readFileSync(manifestOf(newer))
  copyFileSync(manifestOf(older), manifestOf(newer))
  expect(await codeOf(store.checkpoints.open(newer))).toBe('damaged_checkpoint')
  writeFileSync(manifestOf(newer), good)
  const elsewhere = new Bench()
  try {
    const other = elsewhere.open()
    const foreign = await savedOf(other, { a: 'one' })
    copyFileSync(join(elsewhere.dataDir, 'checkpoints', `${foreign}.savepoint`), manifestOf(foreign))
    expect(await codeOf(store.checkpoints.open(foreign))).toBe('foreign_checkpoint')
  } finally {
    await elsewhere.dispose()
  }
})

test("another tenant's manifest, with its own signature, opens nothing of this one's", async () => {
  const ann = bench.open('kernel-b', bench.dataDir, 'ann')
  const hers = await savedOf(ann, { a: 'secret' })
  const mine = await savedOf(store, { a: 'mine' })
  copyFileSync(manifestOf(hers), manifestOf(mine))
  expect(await codeOf(store.checkpoints.open(mine))).toBe('damaged_checkpoint')
  expect(await codeOf(store.checkpoints.open(hers))).toBe('foreign_checkpoint')
})

test('a pack in the place of another one, or a chunk in the place of another, is found', async () => {
  const first = await savedOf(store, { a: 'one' })
  const second = await savedOf(store, { b: 'two'.repeat(2000) })
  const [one, two] = [readFileSync(packOf(first)), readFileSync(packOf(second))]
  writeFileSync(packOf(first), two)
  expect(await codeOf(store.checkpoints.open(first))).toBe('damaged_checkpoint')
  expect(await store.checkpoints.validate(first)).toMatchObject({ valid: false })
  writeFileSync(packOf(first), one)
  // Two chunks of the same pack change places: each is sound, and not what is looked for there.
  const opened = await store.checkpoints.open(second)
  const map = opened.map ?? Buffer.alloc(0)
  const swapped = Buffer.concat([
    map.subarray(0, 32),
    map.subarray(51 + 32, 102),
    map.subarray(51, 83),
    map.subarray(32, 51),
  ])
  expect(restored({ ...opened, map: swapped })).toBeNull()
})

test('the index is made again from packs alone, and takes none that is not what was signed', async () => {
  const first = await savedOf(store, { a: 'one' })
  const second = await savedOf(store, { b: 'two' })
  await store.close()
  const bytes = readFileSync(packOf(second))
  // In the table: the index would lead astray.
  const at = bytes.lastIndexOf('{"pack_id"') - 14
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(packOf(second), bytes)
  for (const name of readdirSync(bench.dataDir)) {
    if (name.startsWith('savepoint.sqlite')) renameSync(join(bench.dataDir, name), join(bench.dataDir, `old-${name}`))
  }
  const again = bench.open()
  expect((await again.checkpoints.list()).total_count).toBe(2)
  expect(await again.checkpoints.validate(first)).toEqual({ valid: true, damaged: [] })
  expect(await codeOf(again.checkpoints.open(second))).toBe('damaged_checkpoint')
  expect(bench.events()).toContain('checkpoint_unreadable')
})
