/** What a checkpoint says of what it holds: lists, comparisons, and what is damaged. */

import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Store } from '../../src/store/store.js'
import { savedOf, writeDraft } from './drafts.js'
import { Bench, checkpointOf, codeOf } from './support.js'

let bench: Bench
let store: Store
beforeEach(() => {
  bench = new Bench()
  store = bench.open()
})
afterEach(() => bench.dispose())

const packOf = (id: string): string => join(bench.dataDir, 'checkpoints', 'packs', `pk_${id.slice(3)}.pack`)
const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)

test('a checkpoint lists its variables, in the first format as well', async () => {
  const id = await savedOf(store, { a: 'one', big: randomBytes(5000) })
  expect(await store.checkpoints.describe(id)).toMatchObject({
    checkpoint_id: id,
    objects: [
      { name: 'a', type: 'str', verdict: 'exact', tier: 'pickle', bytes: 3, reason: null },
      { name: 'big', type: 'numpy.ndarray', verdict: 'exact', tier: 'pickle', bytes: 5000, reason: null },
    ],
  })
  const old = await checkpointOf(store, 'old')
  expect((await store.checkpoints.describe(old)).objects).toEqual([
    { name: 'x', type: 'int', verdict: 'exact', tier: 'pickle', bytes: 4, reason: null },
  ])
})

test('what is short may stand in the reference itself', async () => {
  const id = await savedOf(store, { a: 'one' }, {}, { inlineBytesMax: 512 })
  expect(names((await store.checkpoints.describe(id)).objects)).toEqual(['a'])
  const later = await savedOf(store, { a: 'two' }, {}, { inlineBytesMax: 512, history: [[2, 'a = 2']] })
  expect(await store.checkpoints.diff(id, { id: later })).toMatchObject({ changed: [{ name: 'a' }], code: ['a = 2'] })
  expect(await store.checkpoints.validate(later)).toEqual({ valid: true, damaged: [] })
})

describe('two checkpoints', () => {
  test('differ by variables and by the cells between', async () => {
    const first = await savedOf(store, { a: 'one', b: 'two', c: 'three' }, {}, { history: [[1, 'a = 1']] })
    const history = [
      [1, 'a = 1'],
      [2, 'del b'],
      [3, 'c = 3; d = 4'],
    ] as const
    const second = await savedOf(store, { a: 'one', c: 'thirty', d: 'four' }, {}, { history })
    expect(await store.checkpoints.diff(first, { id: second })).toEqual({
      added: [{ name: 'd', type: 'str', bytes: 4, preview: 'four' }],
      removed: [{ name: 'b', type: 'str', bytes: 3, preview: 'two' }],
      changed: [{ name: 'c', type: 'str', bytes: 6, preview: 'thirty' }],
      code: ['del b', 'c = 3; d = 4'],
    })
    expect((await store.checkpoints.diff(second, { id: first })).code).toEqual([])
  })

  test('may be one that was kept and one that never will be', async () => {
    const first = await savedOf(store, { a: 'one', big: randomBytes(300_000) })
    const draft = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    writeDraft(draft, { a: 'two' })
    const diff = await store.checkpoints.diff(first, { draft: draft.checkpoint_id })
    expect([names(diff.removed), names(diff.changed)]).toEqual([['big'], ['a']])
    await store.checkpoints.abandon(draft.checkpoint_id)
    expect(await codeOf(store.checkpoints.diff(first, { draft: draft.checkpoint_id }))).toBe('unknown_checkpoint')
  })

  test('of the first format, or of somebody else, are refused', async () => {
    const first = await savedOf(store, { a: 'one' })
    const old = await checkpointOf(store, 'old')
    expect(await codeOf(store.checkpoints.diff(first, { id: old }))).toBe('format_unsupported')
    const hers = await savedOf(bench.open('kernel-b', bench.dataDir, 'ann'), { a: 'one' })
    expect(await codeOf(store.checkpoints.diff(first, { id: hers }))).toBe('foreign_checkpoint')
    expect(await codeOf(store.checkpoints.diff(first, { id: 'nope' }))).toBe('unknown_checkpoint')
  })
})

describe('a validation', () => {
  test('finds nothing wrong with what is whole', async () => {
    const id = await savedOf(store, { a: 'one', big: randomBytes(900_000) })
    expect(await store.checkpoints.validate(id)).toEqual({ valid: true, damaged: [] })
    expect(await store.checkpoints.validate(await checkpointOf(store, 'old'))).toEqual({ valid: true, damaged: [] })
    expect(await codeOf(store.checkpoints.validate(`cp_${'0'.repeat(32)}`))).toBe('unknown_checkpoint')
  })

  test('names the variables whose data is damaged, and the next save writes it anew', async () => {
    const big = randomBytes(900_000)
    const id = await savedOf(store, { a: 'one', big })
    const pack = readFileSync(packOf(id))
    const at = pack.indexOf(big.subarray(300_000, 300_064))
    pack[at] = (pack[at] ?? 0) ^ 4
    writeFileSync(packOf(id), pack)
    const { valid, damaged } = await store.checkpoints.validate(id)
    expect(valid).toBe(false)
    expect(damaged).toEqual([
      { code: 'damaged_checkpoint', message: expect.stringContaining('big'), details: { variables: ['big'] } },
    ])
    const again = await savedOf(store, { a: 'one', big })
    expect((await store.checkpoints.get(again))?.written_bytes).toBeGreaterThan(262_144)
    // What was written anew serves the older one, too.
    for (const each of [again, id]) expect(await store.checkpoints.validate(each)).toEqual({ valid: true, damaged: [] })
  })

  test('tells when the list itself, a pack or its table is gone', async () => {
    const big = randomBytes(900_000)
    const id = await savedOf(store, { a: 'one', big })
    const good = readFileSync(packOf(id))
    const table = Buffer.from(good)
    const inTable = table.length - 400
    table[inTable] = (table[inTable] ?? 0) ^ 1
    writeFileSync(packOf(id), table)
    expect(await store.checkpoints.validate(id)).toMatchObject({
      valid: false,
      damaged: [{ details: { pack: packOf(id) } }],
    })
    expect((await store.checkpoints.open(id)).missing).toBe(0)
    rmSync(packOf(id))
    expect(await store.checkpoints.validate(id)).toMatchObject({
      valid: false,
      damaged: [{ code: 'damaged_checkpoint' }],
    })
    expect(await codeOf(store.checkpoints.open(id))).toBe('damaged_checkpoint')
    expect(await codeOf(store.checkpoints.describe(id))).toBe('damaged_checkpoint')
  })
})
