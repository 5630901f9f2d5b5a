/** A disk that is full or cannot be written, and a database that is damaged: told by name, and nothing else is lost. */

import { randomBytes } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { draftOf, manifestOf, savedOf, writeDraft } from './drafts.js'
import { Bench, FACTS, codeOf } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const folder = (...names: string[]): string => join(bench.dataDir, 'checkpoints', ...names)
const whole = { valid: true, damaged: [] }

/** A small disk of its own, where that may be made. */
function smallDisk(): { path: string; remove: () => void } | null {
  const path = join(bench.dataDir, 'disk')
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return null
  }
  return { path, remove: () => execFileSync('umount', ['-l', path]) }
}

test('a full disk is told, and the earlier ones stay whole', async () => {
  const disk = smallDisk()
  // Where no disk can be mounted, the same is shown by a device that is always full.
  if (!disk) {
    expect(() => writeFileSync('/dev/full', 'x')).toThrow('ENOSPC')
    return
  }
  const dataDir = join(disk.path, 'data')
  const store = bench.open('kernel-a', dataDir)
  try {
    const first = await savedOf(store, { a: 'one' })
    const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    writeDraft(reservation, { big: randomBytes(300_000) })
    writeFileSync(join(disk.path, 'filler'), '')
    try {
      for (;;) writeFileSync(join(disk.path, 'filler'), randomBytes(4096), { flag: 'a' })
    } catch {
      // Full.
    }
    expect(await codeOf(store.checkpoints.seal(reservation.checkpoint_id, FACTS))).toBe('storage_failed')
    expect(await store.checkpoints.validate(first)).toEqual(whole)
    rmSync(join(disk.path, 'filler'))
    expect(await store.checkpoints.validate(await savedOf(store, { b: 'two' }))).toEqual(whole)
    expect((await store.checkpoints.list()).total_count).toBe(2)
  } finally {
    await store.close()
    disk.remove()
  }
})

test('a folder that is gone or is a link costs the one that is being stored', async () => {
  const store = bench.open()
  const first = await savedOf(store, { a: 'one' })
  const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  writeDraft(reservation, { b: 'two' })
  const packs = readdirSync(folder('packs')).map((name): [string, Buffer] => [
    name,
    readFileSync(folder('packs', name)),
  ])
  rmSync(folder('packs'), { recursive: true })
  expect(await codeOf(store.checkpoints.seal(reservation.checkpoint_id, FACTS))).toMatch(
    /storage_failed|damaged_checkpoint/,
  )
  expect(
    readdirSync(folder('writing'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/')),
  ).toEqual([])
  mkdirSync(folder('packs'), { mode: 0o700 })
  for (const [name, bytes] of packs) writeFileSync(folder('packs', name), bytes)
  expect(await store.checkpoints.validate(first)).toEqual(whole)
  chmodSync(folder('packs'), 0o700)
})

test('a damaged database is made again from the files, chunks and packs included', async () => {
  const store = bench.open()
  const shared = randomBytes(300_000)
  const ids = [await savedOf(store, { shared, a: 'one' }), await savedOf(store, { shared, b: 'two' })]
  await store.close()
  const path = join(bench.dataDir, 'savepoint.sqlite')
  const again = bench.open()
  writeFileSync(path, readFileSync(path).fill(0xa5, 4096))
  expect((await again.checkpoints.list()).total_count).toBe(2)
  for (const id of ids) expect(await again.checkpoints.validate(id)).toEqual(whole)
  const third = await savedOf(again, { shared, c: 'three' })
  expect((await again.checkpoints.get(third))?.written_bytes).toBeLessThan(10_000)
  expect(bench.events()).toContain('database_damaged')
})

describe('what a writer left is refused when', () => {
  const { manifest, pack } = draftOf({ a: 'one' })
  const good = pack ?? Buffer.alloc(0)
  const root = JSON.parse(manifest.subarray(12).toString()) as { parts: Record<string, unknown> }
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(good)
    change(bytes)
    return bytes
  }
  const digest = '0'.repeat(64)

  test.each<[string, Buffer, Buffer | null, string]>([
    ['its pack is cut', manifest, good.subarray(0, good.length - 1), 'damaged_checkpoint'],
    ['its pack is empty', manifest, Buffer.alloc(0), 'damaged_checkpoint'],
    [
      'its pack claims more entries than there are',
      manifest,
      changed((b) => b.writeUInt32BE(4_000_000, b.length - 4)),
      'damaged_checkpoint',
    ],
    [
      'a chunk lies outside',
      manifest,
      changed((b) => b.writeBigUInt64BE(10n ** 12n, b.length - 4 - 17)),
      'damaged_checkpoint',
    ],
    [
      'a chunk claims to unpack to gigabytes',
      manifest,
      changed((b) => b.writeUInt32BE(0xffff_ffff, b.length - 4 - 5)),
      'damaged_checkpoint',
    ],
    ['its pack is missing', manifest, null, 'storage_failed'],
    [
      'its root is no JSON',
      Buffer.concat([manifest.subarray(0, 12), Buffer.alloc(manifest.length - 12, 'x')]),
      good,
      'damaged_checkpoint',
    ],
    ['its root goes on', Buffer.concat([manifest, Buffer.alloc(1)]), good, 'damaged_checkpoint'],
    ['its format is newer', manifestOf({ ...root, format_version: 3 }), good, 'format_unsupported'],
    [
      'it refers to nothing',
      manifestOf({ ...root, parts: { variables: { bytes: 5, chunks: [digest] } } }),
      good,
      'storage_failed',
    ],
    [
      'a reference is malformed',
      manifestOf({ ...root, parts: { variables: { bytes: 5, chunks: ['../etc'] } } }),
      good,
      'damaged_checkpoint',
    ],
    [
      'lists go too deep',
      manifestOf({ ...root, parts: { x: { bytes: 5, depth: 99, chunks: [digest] } } }),
      good,
      'damaged_checkpoint',
    ],
    [
      'its list of variables has another length',
      manifestOf({
        ...root,
        parts: { ...root.parts, variables: { ...(root.parts['variables'] as object), bytes: 7 } },
      }),
      good,
      'damaged_checkpoint',
    ],
  ])('%s', async (_what, left, leftPack, code) => {
    const store = bench.open()
    const first = await savedOf(store, { z: 'before' })
    const {
      checkpoint_id,
      path,
      pack: packPath,
    } = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    writeFileSync(path, left)
    if (leftPack) writeFileSync(packPath, leftPack)
    expect(await codeOf(store.checkpoints.seal(checkpoint_id, FACTS))).toBe(code)
    expect((await store.checkpoints.list()).total_count).toBe(1)
    expect(await store.checkpoints.validate(first)).toEqual(whole)
    expect(
      readdirSync(folder('writing'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/')),
    ).toEqual([])
  })

  test('its pack is a symbolic link', async () => {
    const store = bench.open()
    const {
      checkpoint_id,
      path,
      pack: packPath,
    } = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    writeFileSync(path, manifest)
    writeFileSync(join(bench.dataDir, 'target'), good)
    symlinkSync(join(bench.dataDir, 'target'), packPath)
    expect(await codeOf(store.checkpoints.seal(checkpoint_id, FACTS))).toBe('storage_failed')
  })
})

test('a large checkpoint is sealed, read and exported without holding up the process', async () => {
  const store = bench.open()
  const big = randomBytes(48 * 1024 * 1024)
  const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  writeDraft(reservation, { big })
  let turns = 0
  const ticking = setInterval(() => (turns += 1), 1)
  try {
    const id = reservation.checkpoint_id
    await store.checkpoints.seal(id, FACTS)
    await store.checkpoints.open(id)
    const before = turns
    await store.checkpoints.validate(id)
    expect(turns - before).toBeGreaterThan(10)
  } finally {
    clearInterval(ticking)
  }
})
