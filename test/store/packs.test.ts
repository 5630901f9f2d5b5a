/** Checkpoints of the second format: manifests whose chunks lie in packs. */

import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import type { OpenedCheckpoint } from '../../src/store/checkpoints/opening.js'
import { draftOf, knownIn, savedOf, writeDraft } from './drafts.js'
import { Bench, FACTS, codeOf } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const folder = (...names: string[]): string => join(bench.dataDir, 'checkpoints', ...names)
const packs = (): string[] => readdirSync(folder('packs'))

/** The raw bytes of every chunk of the map, as a worker reads them. */
function chunksOf({ map, packs: paths }: OpenedCheckpoint): Map<string, Buffer> {
  const chunks = new Map<string, Buffer>()
  for (let at = 0; map && at < map.length; at += 51) {
    const digest = map.toString('hex', at, at + 32)
    const pack = readFileSync(paths[map.readUInt16BE(at + 32)] ?? '')
    const offset = Number(map.readBigUInt64BE(at + 34))
    const stored = pack.subarray(offset, offset + map.readUInt32BE(at + 42))
    const raw = map[at + 50] === 1 ? inflateSync(stored) : stored
    expect(raw.length).toBe(map.readUInt32BE(at + 46))
    expect(createHash('sha256').update(raw).digest('hex')).toBe(digest)
    chunks.set(digest, raw)
  }
  return chunks
}

test('what is opened is what was saved, and all that it needs', async () => {
  const store = bench.open()
  const big = randomBytes(900_000)
  const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: 'n', note: 'why', branch: 'try' })
  expect(reservation.known).toBeNull()
  writeDraft(reservation, { big, text: 'hello' })
  const { manifest } = draftOf({ big, text: 'hello' })
  const record = await store.checkpoints.seal(reservation.checkpoint_id, FACTS)
  const id = reservation.checkpoint_id
  const manifestBytes = statSync(folder(`${id}.savepoint`)).size
  const packBytes = statSync(folder('packs', `pk_${id.slice(3)}.pack`)).size
  expect(record).toMatchObject({
    checkpoint_id: id,
    name: 'n',
    note: 'why',
    state: 'stored',
    branch: 'try',
    parent_id: null,
    format_version: 2,
    namespace_size: 2,
    written_bytes: manifestBytes + packBytes,
  })
  expect(record.checkpoint_size).toBeGreaterThan(900_000)
  const opened = await bench.open('kernel-b').checkpoints.open(id)
  expect(opened).toMatchObject({ record, format: 2, missing: 0 })
  expect(opened.root).toEqual(manifest.subarray(12))
  const chunks = chunksOf(opened)
  const pieces = [0, 1, 2, 3].map((index) => big.subarray(index * 262_144, (index + 1) * 262_144))
  for (const piece of pieces) expect(chunks.has(createHash('sha256').update(piece).digest('hex'))).toBe(true)
  expect(readdirSync(folder('writing'), { recursive: true })).toHaveLength(1)
})

test('a second save writes what changed alone, and both can be opened', async () => {
  const store = bench.open()
  const big = randomBytes(2_000_000)
  const first = await savedOf(store, { big, a: 'one' })
  const second = await savedOf(store, { big, a: 'two' })
  const [one, two] = await Promise.all([store.checkpoints.get(first), store.checkpoints.get(second)])
  expect(one?.written_bytes).toBeGreaterThan(2_000_000)
  expect(two?.written_bytes).toBeLessThan(5_000)
  expect(two?.parent_id).toBe(first)
  expect(chunksOf(await store.checkpoints.open(second)).size).toBe(chunksOf(await store.checkpoints.open(first)).size)
  expect((await store.checkpoints.open(second)).packs).toHaveLength(2)
})

test('where nothing is new, no pack is written', async () => {
  const store = bench.open()
  await savedOf(store, { a: 'one' })
  const again = await savedOf(store, { a: 'one' })
  expect(packs()).toHaveLength(1)
  expect((await store.checkpoints.open(again)).missing).toBe(0)
})

test('lists of lists of chunks are followed', async () => {
  const store = bench.open()
  const id = await savedOf(store, { big: randomBytes(40_000) }, {}, { inlineMax: 4, chunkBytes: 512 })
  const opened = await store.checkpoints.open(id)
  expect(opened.missing).toBe(0)
  expect(chunksOf(opened).size).toBeGreaterThan(80 + 20)
})

test('another owner is told of no chunk, and finds none', async () => {
  const ann = bench.open('kernel-a', bench.dataDir, 'ann')
  const bob = bench.open('kernel-b', bench.dataDir, 'bob')
  const hers = await savedOf(ann, { a: 'secret' })
  const reservation = await bob.checkpoints.begin({ kernelId: 'kernel-b', name: null, note: null })
  expect(reservation.known).toBeNull()
  // A writer that says it knows them is not believed.
  const { manifest } = draftOf({ a: 'secret' })
  writeFileSync(reservation.path, manifest)
  await expect(bob.checkpoints.seal(reservation.checkpoint_id, FACTS)).rejects.toMatchObject({
    code: 'storage_failed',
    details: { retry: true },
  })
  expect(await codeOf(bob.checkpoints.open(hers))).toBe('foreign_checkpoint')
  expect(existsSync(folder(`${reservation.checkpoint_id}.savepoint`))).toBe(false)
  const known = await ann.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  expect(knownIn(known.known).size).toBeGreaterThan(3)
})

test('where a kernel stands is kept', async () => {
  const store = bench.open()
  expect(await store.checkpoints.headOf('kernel-a')).toBeNull()
  const id = await savedOf(store, { a: 'one' })
  await savedOf(store, { a: 'two' })
  await store.checkpoints.setHead('kernel-a', id, 'try')
  expect(await bench.open().checkpoints.headOf('kernel-a')).toEqual({ head: id, branch: 'try' })
  expect((await store.checkpoints.list({}, 'kernel-a')).head).toBe(id)
  const next = await savedOf(store, { a: 'three' }, { parent: id, branch: 'try' })
  expect(await store.checkpoints.get(next)).toMatchObject({ parent_id: id, branch: 'try' })
})
