import { cpSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Store } from '../../src/store/store.js'
import { Bench, FACTS, MANIFEST, checkpointOf, codeOf, writerFile } from './support.js'

let bench: Bench
let store: Store
beforeEach(() => {
  bench = new Bench()
  store = bench.open()
})
afterEach(() => bench.dispose())

const finalPath = (id: string): string => join(bench.dataDir, 'checkpoints', `${id}.savepoint`)

describe('a checkpoint is refused when', () => {
  test('any one bit of it changed', async () => {
    const id = await checkpointOf(store, 'n')
    const good = readFileSync(finalPath(id))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: good.length * 8 - 1 }), async (bit) => {
        const bytes = Buffer.from(good)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        writeFileSync(finalPath(id), bytes)
        const code = await codeOf(store.checkpoints.verify(id))
        // The 8 bytes before the MAC name the key: a bit of theirs makes it another one's.
        const inKeyId = bit >> 3 >= good.length - 40 && bit >> 3 < good.length - 32
        expect(code).toBe(inKeyId ? 'foreign_checkpoint' : 'damaged_checkpoint')
      }),
      { numRuns: 200 },
    )
    writeFileSync(finalPath(id), good)
    expect(await codeOf(store.checkpoints.verify(id))).toBe('done')
  })

  test('it ends early or goes on', async () => {
    const id = await checkpointOf(store, 'n')
    const good = readFileSync(finalPath(id))
    for (const length of [0, 1, 11, 12, 59, 60, 1000, good.length - 45, good.length - 44, good.length - 1]) {
      writeFileSync(finalPath(id), good.subarray(0, length))
      expect([length, await codeOf(store.checkpoints.verify(id))]).toEqual([length, 'damaged_checkpoint'])
    }
    writeFileSync(finalPath(id), Buffer.concat([good, Buffer.alloc(1)]))
    expect(await codeOf(store.checkpoints.verify(id))).toBe('damaged_checkpoint')
  })

  test('it was signed in another data folder', async () => {
    const elsewhere = join(bench.dataDir, 'elsewhere')
    const id = await checkpointOf(bench.open('kernel-b', elsewhere), 'n')
    await checkpointOf(store, 'mine')
    cpSync(join(elsewhere, 'checkpoints', `${id}.savepoint`), finalPath(id))
    expect(await store.checkpoints.find(id, 'kernel-a')).toBe(id)
    await expect(store.checkpoints.verify(id)).rejects.toMatchObject({
      code: 'foreign_checkpoint',
      details: { checkpoint: id },
    })
    expect(await codeOf(bench.open('kernel-c').checkpoints.find('n', 'kernel-c'))).toBe('unknown_checkpoint')
  })

  test('it lies in the place of another one', async () => {
    const harmless = await checkpointOf(store, 'a')
    const other = await checkpointOf(store, 'b')
    renameSync(finalPath(other), finalPath(harmless))
    expect(await codeOf(store.checkpoints.verify(harmless))).toBe('damaged_checkpoint')
  })

  test('a symbolic link or a folder has its name', async () => {
    const id = await checkpointOf(store, 'n')
    const moved = join(bench.dataDir, 'moved')
    renameSync(finalPath(id), moved)
    symlinkSync(moved, finalPath(id))
    expect(await codeOf(store.checkpoints.verify(id))).toBe('storage_failed')
    rmSync(finalPath(id))
    cpSync(join(bench.dataDir, 'keys'), finalPath(id), { recursive: true })
    expect(await codeOf(store.checkpoints.verify(id))).toBe('damaged_checkpoint')
  })
})

describe('what a writer left is refused, and removed, when', () => {
  const sealed = async (file: Buffer): Promise<string> => {
    const { checkpoint_id, path } = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
    writeFileSync(path, file)
    const code = await codeOf(store.checkpoints.seal(checkpoint_id, FACTS))
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    return code
  }
  const without = (key: string): object => Object.fromEntries(Object.entries(MANIFEST).filter(([name]) => name !== key))

  test.each([
    ['it is empty', Buffer.alloc(0)],
    ['it begins like something else', Buffer.concat([Buffer.from('PK\x03\x04'), writerFile().subarray(4)])],
    ['its manifest claims more than there is', Buffer.concat([writerFile().subarray(0, 8), Buffer.alloc(4, 0xff)])],
    ['its manifest is cut off', writerFile(MANIFEST, Buffer.alloc(0)).subarray(0, 200)],
    ['its manifest is no JSON', writerFile('{"format_version": NaN}')],
    ['its manifest is a list', writerFile([MANIFEST])],
    ['a count is missing', writerFile(without('namespace_size'))],
    ['a count is negative', writerFile({ ...MANIFEST, class_count: -1 })],
    ['a count is text', writerFile({ ...MANIFEST, class_count: '1' })],
    ['the lost variables are no list', writerFile({ ...MANIFEST, lost: {} })],
    ['a lost variable has no reason', writerFile({ ...MANIFEST, lost: [{ name: 'x', type: 'y' }] })],
    ['the verdicts are missing', writerFile(without('verdicts'))],
    [
      'a section reaches beyond the end',
      writerFile({ ...MANIFEST, sections: [{ name: 'a', offset: 10, length: 1e9 }] }),
    ],
  ])('%s', async (_why, file) => {
    expect(await sealed(file)).toBe('damaged_checkpoint')
  })

  test('its format is of a newer release', async () => {
    expect(await sealed(writerFile({ ...MANIFEST, format_version: 2 }))).toBe('format_unsupported')
  })
})

test('a file of many megabytes is signed and verified without holding up the process', async () => {
  const file = writerFile(MANIFEST, Buffer.alloc(48 * 1024 * 1024, 7))
  let turns = 0
  const ticking = setInterval(() => (turns += 1), 1)
  const id = await checkpointOf(store, 'big', 'kernel-a', file)
  await store.checkpoints.verify(id)
  clearInterval(ticking)
  expect(turns).toBeGreaterThan(10)
  expect((await store.checkpoints.list()).items[0]?.checkpoint_size).toBe(statSync(finalPath(id)).size)
})

test('a verified file that shrinks while it is read is damaged', async () => {
  const id = await checkpointOf(store, 'big', 'kernel-a', writerFile(MANIFEST, Buffer.alloc(16 * 1024 * 1024)))
  const verdict = codeOf(store.checkpoints.verify(id))
  truncateSync(finalPath(id), 4096)
  expect(await verdict).toBe('damaged_checkpoint')
})
