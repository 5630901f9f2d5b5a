/** What is no longer needed goes, and nothing else. */

import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { storeLimits } from '../../src/store/limits.js'
import type { Store } from '../../src/store/store.js'
import { savedOf, writeDraft } from './drafts.js'
import { Bench, FACTS, checkpointOf, codeOf } from './support.js'

let bench: Bench
let store: Store
beforeEach(() => {
  bench = new Bench()
  store = bench.open()
})
afterEach(() => bench.dispose())

const folder = (...names: string[]): string => join(bench.dataDir, 'checkpoints', ...names)
const packs = (): string[] => readdirSync(folder('packs')).sort()
const whole = { valid: true, damaged: [] }

async function expectWhole(...ids: string[]): Promise<void> {
  for (const id of ids) expect(await store.checkpoints.validate(id)).toEqual(whole)
}

/** Collects, and once more when packs without chunks have stayed long enough. */
async function collectAll(from = store): Promise<void> {
  await from.checkpoints.collect()
  bench.aheadMs += storeLimits.packGraceMs + 1
  await from.checkpoints.collect()
}

test('a removed checkpoint leaves what others share, and its pack goes after a while', async () => {
  const big = randomBytes(600_000)
  const own = randomBytes(700_000)
  const first = await savedOf(store, { big, a: 'one' })
  const second = await savedOf(store, { big, own })
  await store.checkpoints.remove(second)
  expect(await store.checkpoints.collect()).toMatchObject({ chunks: expect.any(Number), packs: 0 })
  expect(packs()).toHaveLength(2)
  bench.aheadMs += storeLimits.packGraceMs + 1
  expect(await store.checkpoints.collect()).toMatchObject({ chunks: 0, packs: 1 })
  expect(packs()).toEqual([`pk_${first.slice(3)}.pack`])
  await expectWhole(first)
  // What is gone is not taken for known.
  await expectWhole(await savedOf(store, { own }))
})

test('nothing goes that any checkpoint, of whatever format or owner, needs', async () => {
  const ann = bench.open('kernel-b', bench.dataDir, 'ann')
  const hers = await savedOf(ann, { a: 'one', big: randomBytes(300_000) })
  const ids = [await savedOf(store, { a: 'one' }), await savedOf(store, { a: 'two', lots: randomBytes(900_000) })]
  const old = await checkpointOf(store, 'old')
  await collectAll()
  await collectAll(ann)
  await expectWhole(...ids, old)
  expect(await ann.checkpoints.validate(hers)).toEqual(whole)
  expect(packs()).toHaveLength(3)
})

test('a pack that is mostly garbage is rewritten', async () => {
  const shared = randomBytes(300_000)
  const first = await savedOf(store, { shared, own: randomBytes(2_000_000) })
  const second = await savedOf(store, { shared, b: 'two' })
  await store.checkpoints.remove(first)
  expect(await store.checkpoints.collect()).toMatchObject({ rewritten: 1 })
  await expectWhole(second)
  await collectAll()
  expect(packs()).not.toContain(`pk_${first.slice(3)}.pack`)
  const bytes = packs().reduce((sum, name) => sum + readFileSync(folder('packs', name)).length, 0)
  expect(bytes).toBeLessThan(310_000)
  await expectWhole(second)
})

test('many small packs become one', async () => {
  const ids: string[] = []
  for (let round = 0; round < storeLimits.smallPacksMax; round += 1)
    ids.push(await savedOf(store, { a: `round ${round}` }))
  expect(packs()).toHaveLength(ids.length)
  expect(await store.checkpoints.collect()).toMatchObject({ rewritten: ids.length })
  await collectAll()
  expect(packs()).toHaveLength(1)
  await expectWhole(...ids)
  // The tables can be made again from what is there now.
  await store.close()
  for (const name of readdirSync(bench.dataDir)) {
    if (name.startsWith('savepoint.sqlite')) rmSync(join(bench.dataDir, name))
  }
  store = bench.open()
  await expectWhole(...ids)
})

test('a chunk that goes while a writer counts on it is asked for again', async () => {
  const big = randomBytes(300_000)
  const first = await savedOf(store, { big })
  const begun = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  expect(begun.known).not.toBeNull()
  writeDraft(begun, { big, a: 'new' })
  await store.checkpoints.remove(first)
  await store.checkpoints.collect()
  await expect(store.checkpoints.seal(begun.checkpoint_id, FACTS)).rejects.toMatchObject({
    code: 'storage_failed',
    details: { retry: true },
  })
  const again = await savedOf(store, { big, a: 'new' }, { fresh: true })
  await expectWhole(again)
})

test('where a tree cannot be walked, nothing is removed', async () => {
  const first = await savedOf(store, { a: 'one', big: randomBytes(300_000) })
  const second = await savedOf(store, { b: 'two' })
  const path = folder('packs', `pk_${first.slice(3)}.pack`)
  const good = readFileSync(path)
  const bad = Buffer.from(good)
  bad.fill(0x55, 8, bad.length - 500)
  writeFileSync(path, bad)
  await store.checkpoints.remove(second)
  expect(await codeOf(store.checkpoints.collect())).toBe('damaged_checkpoint')
  writeFileSync(path, good)
  await collectAll()
  await expectWhole(first)
})

test('somebody else’s checkpoint is not removed, a damaged one is', async () => {
  const ann = bench.open('kernel-b', bench.dataDir, 'ann')
  const hers = await savedOf(ann, { a: 'one' })
  expect(await codeOf(store.checkpoints.remove(hers))).toBe('foreign_checkpoint')
  const mine = await savedOf(store, { a: 'one' })
  writeFileSync(folder(`${mine}.savepoint`), 'garbage')
  expect(await codeOf(store.checkpoints.remove(mine))).toBe('done')
  expect((await store.checkpoints.list()).total_count).toBe(0)
  expect(await codeOf(store.checkpoints.remove(mine))).toBe('done')
})

test('two processes collect at once without harm', async () => {
  const other = bench.open()
  const ids: string[] = []
  for (let round = 0; round < 6; round += 1) {
    const big = randomBytes(300_000)
    const gone = await savedOf(store, { big, x: 'x' })
    ids.push(await savedOf(other, { big, a: `round ${round}` }))
    await store.checkpoints.remove(gone)
    await Promise.all([store.checkpoints.collect(), other.checkpoints.collect(), savedOf(store, { big, b: 'b' })])
  }
  await collectAll()
  await expectWhole(...ids)
})

describe('automatic checkpoints', () => {
  const hours = (n: number): number => n * 3_600_000
  const automatic = { note: 'automatic: after cell 1' }

  test('go by the rules; named ones, the newest and where a kernel stands stay', async () => {
    const ruled = bench.open('kernel-a', bench.dataDir, undefined, { keep: { last: 2, hourly: 2, daily: 2 } })
    bench.aheadMs = Date.parse('2030-01-01T00:10:00Z') - Date.now()
    const named = await savedOf(ruled, { a: 'named' }, { name: 'n', ...automatic })
    const stood = await savedOf(ruled, { a: 'stood' }, automatic)
    await ruled.checkpoints.setHead('kernel-b', stood, 'main')
    const made: string[] = []
    for (const at of [1, 25, 26, 26.1, 26.2, 26.3, 26.4]) {
      bench.aheadMs = Date.parse('2030-01-01T00:10:00Z') + hours(at) - Date.now()
      made.push(await savedOf(ruled, { a: String(at) }, automatic))
    }
    const left = (await ruled.checkpoints.list()).items.map(({ checkpoint_id }) => checkpoint_id)
    // The last two; of 26 and 25 o'clock the last; of the second day and the first the last.
    expect(new Set(left)).toEqual(new Set([named, stood, made[0], made[1], made[5], made[6]]))
  })

  test('are all kept where no rule is set', async () => {
    for (const a of ['1', '2', '3']) await savedOf(store, { a }, automatic)
    expect((await store.checkpoints.list()).total_count).toBe(3)
  })
})

describe('a quota', () => {
  test('is refused before anything is written, and room that was made counts at once', async () => {
    const bounded = bench.open('kernel-a', bench.dataDir, undefined, { bytesMax: 1_000_000 })
    const first = await savedOf(bounded, { big: randomBytes(990_000) })
    await savedOf(bounded, { a: 'small' })
    expect(await codeOf(savedOf(bounded, { big: randomBytes(200_000) }))).toBe('quota_exceeded')
    const begin = (): Promise<unknown> => bounded.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    await checkpointOf(bounded, 'old').catch(() => null)
    await bounded.checkpoints.remove(first)
    expect(await codeOf(begin())).toBe('done')
    await expectWhole(await savedOf(bounded, { big: randomBytes(900_000) }))
  })

  test('is of each owner alone', async () => {
    const rules = { bytesMax: 500_000 }
    const ann = bench.open('kernel-a', bench.dataDir, 'ann', rules)
    const bob = bench.open('kernel-b', bench.dataDir, 'bob', rules)
    await savedOf(ann, { big: randomBytes(490_000) })
    expect(await codeOf(savedOf(ann, { big: randomBytes(490_000) }))).toBe('quota_exceeded')
    expect(await codeOf(savedOf(bob, { big: randomBytes(490_000) }))).toBe('done')
  })
})
