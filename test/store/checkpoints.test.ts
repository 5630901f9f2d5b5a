import { readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SavepointError } from '../../src/errors.js'
import { storeLimits } from '../../src/store/limits.js'
import { Bench, FACTS, checkpointOf, codeOf, writerFile } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const finalPath = (id: string): string => join(bench.dataDir, 'checkpoints', `${id}.savepoint`)

/** Every file below the folder of checkpoints that is still being written. */
function unfinished(): string[] {
  return readdirSync(join(bench.dataDir, 'checkpoints', 'writing'), { recursive: true }).filter((name) =>
    String(name).endsWith('.savepoint'),
  ) as string[]
}

test('a checkpoint has exactly the fields that clients know', async () => {
  const store = bench.open()
  const { checkpoint_id, path } = await store.checkpoints.begin({
    kernelId: 'kernel-a',
    name: 'loaded',
    note: 'a note',
  })
  const file = writerFile()
  writeFileSync(path, file)
  const record = await store.checkpoints.seal(checkpoint_id, { ...FACTS, in_transaction: true })
  const size = statSync(finalPath(checkpoint_id)).size
  expect(size).toBeGreaterThan(file.length)
  expect(record).toEqual({
    checkpoint_id,
    name: 'loaded',
    note: 'a note',
    state: 'stored',
    parent_id: null,
    branch: 'main',
    kernel_id: 'kernel-a',
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    execution_count: 6,
    namespace_size: 3,
    function_count: 1,
    class_count: 0,
    checkpoint_size: size,
    written_bytes: size,
    data: null,
    format_version: 1,
    python_version: '3.11.7',
    pause_ms: 1.2,
    write_ms: 80.5,
    verdicts: { exact: 2, equal: 0, rebuilt: 0, replayed: 0, lost: 1 },
    lost: [{ name: 'sock', type: 'socket.socket', reason: 'A socket cannot be kept.' }],
    in_transaction: true,
  })
  expect(checkpoint_id).toMatch(/^cp_[0-9a-f]{32}$/)
  expect(await store.checkpoints.verify(checkpoint_id)).toEqual({ path: finalPath(checkpoint_id), record })
  expect((await store.checkpoints.list()).items).toEqual([record])
})

test('files, folders and the key are for their owner alone', async () => {
  const id = await checkpointOf(bench.open(), null)
  const mode = (...names: string[]): number => statSync(join(bench.dataDir, ...names)).mode & 0o777
  expect(mode('checkpoints')).toBe(0o700)
  expect(mode('checkpoints', 'writing')).toBe(0o700)
  expect(mode('checkpoints', `${id}.savepoint`)).toBe(0o600)
  expect(mode('keys')).toBe(0o700)
  expect(mode('keys', 'checkpoint.key')).toBe(0o600)
  expect(statSync(join(bench.dataDir, 'keys', 'checkpoint.key')).size).toBe(32)
})

describe('lists', () => {
  test('are newest first, by pages, of one kernel or of all', async () => {
    const store = bench.open()
    const ids: string[] = []
    for (const kernel of ['kernel-a', 'kernel-b', 'kernel-a', 'kernel-a'])
      ids.push(await checkpointOf(store, null, kernel))
    const [a1, b1, a2, a3] = ids
    const page = async (query: object): Promise<unknown> => {
      const { items, total_count, head } = await store.checkpoints.list(query, 'kernel-a')
      return { ids: items.map((item) => item.checkpoint_id), total_count, head }
    }
    expect(await page({})).toEqual({ ids: [a3, a2, b1, a1], total_count: 4, head: a3 })
    expect(await page({ limit: 2 })).toEqual({ ids: [a3, a2], total_count: 4, head: a3 })
    expect(await page({ limit: 2, before: a2 })).toEqual({ ids: [b1, a1], total_count: 4, head: a3 })
    expect(await page({ kernelId: 'kernel-b' })).toEqual({ ids: [b1], total_count: 1, head: a3 })
    expect(await page({ branch: 'other' })).toEqual({ ids: [], total_count: 0, head: a3 })
    expect((await store.checkpoints.list({}, 'kernel-new')).head).toBeNull()
  })

  test('are searched by what names and notes hold', async () => {
    const store = bench.open()
    const named = await checkpointOf(store, 'Before 100% of it')
    await checkpointOf(store, 'other')
    const found = async (text: string): Promise<unknown> => {
      const { items, total_count } = await store.checkpoints.list({ text })
      return [items.map((item) => item.checkpoint_id), total_count]
    }
    expect(await found('before 100%')).toEqual([[named], 1])
    expect(await found('%')).toEqual([[named], 1])
    expect(await found('nowhere')).toEqual([[], 0])
  })

  test('show the line of one kernel through its parents', async () => {
    const store = bench.open()
    const first = await checkpointOf(store, null)
    await checkpointOf(store, null, 'kernel-b')
    const second = await checkpointOf(store, null)
    const { items } = await store.checkpoints.list({ kernelId: 'kernel-a' })
    expect(items.map(({ checkpoint_id, parent_id }) => [checkpoint_id, parent_id])).toEqual([
      [second, first],
      [first, null],
    ])
  })
})

describe('finding', () => {
  test('a name means the newest of this kernel, else the newest of all', async () => {
    const store = bench.open()
    await checkpointOf(store, 'n')
    const own = await checkpointOf(store, 'n')
    const other = await checkpointOf(store, 'n', 'kernel-b')
    expect(await store.checkpoints.find('n', 'kernel-a')).toBe(own)
    expect(await store.checkpoints.find('n', 'kernel-new')).toBe(other)
    expect(await store.checkpoints.find('n', null)).toBe(other)
    expect(await store.checkpoints.find(own, 'kernel-b')).toBe(own)
  })

  test('a checkpoint whose file was removed by hand is passed over', async () => {
    const store = bench.open()
    const older = await checkpointOf(store, 'n')
    const newer = await checkpointOf(store, 'n')
    rmSync(finalPath(newer))
    expect(await store.checkpoints.find('n', 'kernel-a')).toBe(older)
    expect(await codeOf(store.checkpoints.find(newer, 'kernel-a'))).toBe('unknown_checkpoint')
    expect(await codeOf(store.checkpoints.verify(newer))).toBe('unknown_checkpoint')
  })

  test('what there is not is unknown, and no id leads out of the folder', async () => {
    const store = bench.open()
    const id = await checkpointOf(store, null)
    const strange = [
      'nope',
      '',
      'cp_',
      `${id}x`,
      `cp_../../${id}`,
      '../savepoint.sqlite',
      `cp_${'0'.repeat(32)}`,
      'a\0b',
    ]
    for (const name of strange) {
      expect(await codeOf(store.checkpoints.find(name, 'kernel-a'))).toBe('unknown_checkpoint')
      expect(await codeOf(store.checkpoints.verify(name))).toBe('unknown_checkpoint')
    }
    await store.checkpoints.find('nope', null).catch((error: unknown) => {
      expect((error as SavepointError).details).toEqual({ checkpoint: 'nope' })
    })
  })
})

test.each([
  ['of no character', '', false],
  ['of one character', 'a', true],
  ['of 200 characters', 'x'.repeat(200), true],
  ['of 201 characters', 'x'.repeat(201), false],
  ['of 200 characters that take two units each', '\u{1f40d}'.repeat(200), true],
  ['with spaces and letters of any alphabet', 'after load; ünïcode 世界', true],
  ['with a slash', 'a/b', false],
  ['with a line break', 'a\nb', false],
  ['with a control character beyond ASCII', 'a\u0085b', false],
  ['that looks like an id', 'cp_mine', false],
  ['that only ends like the start of an id', 'mycp_', true],
])('a name %s is accepted or refused', async (_what, name, accepted) => {
  const code = await codeOf(bench.open().checkpoints.begin({ kernelId: 'kernel-a', name, note: null }))
  expect(code).toBe(accepted ? 'done' : 'name_invalid')
})

describe('giving up', () => {
  test('removes what was written, and may be done twice', async () => {
    const { checkpoints } = bench.open()
    const { checkpoint_id, path } = await checkpoints.begin({ kernelId: 'kernel-a', name: 'n', note: null })
    writeFileSync(path, writerFile())
    await checkpoints.abandon(checkpoint_id)
    await checkpoints.abandon(checkpoint_id)
    expect(unfinished()).toEqual([])
    expect(await codeOf(checkpoints.seal(checkpoint_id, FACTS))).toBe('unknown_checkpoint')
    expect((await checkpoints.list()).total_count).toBe(0)
  })

  test('while it is being sealed keeps it from being stored', async () => {
    const { checkpoints } = bench.open()
    const { checkpoint_id, path } = await checkpoints.begin({ kernelId: 'kernel-a', name: 'n', note: null })
    writeFileSync(path, writerFile())
    const sealed = codeOf(checkpoints.seal(checkpoint_id, FACTS))
    await checkpoints.abandon(checkpoint_id)
    expect(await sealed).toBe('cancelled')
    expect(unfinished()).toEqual([])
    expect((await checkpoints.list()).total_count).toBe(0)
  })

  test('happens by itself when the store is closed', async () => {
    const store = bench.open()
    const { path } = await store.checkpoints.begin({ kernelId: 'kernel-a', name: 'n', note: null })
    writeFileSync(path, writerFile())
    await store.close()
    expect(readdirSync(join(bench.dataDir, 'checkpoints', 'writing'))).toEqual([])
  })
})

test('more checkpoints at once than the bound are refused', async () => {
  const { checkpoints } = bench.open()
  const begin = (): Promise<unknown> => checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  for (let count = 0; count < storeLimits.writingMax; count += 1) await begin()
  expect(await codeOf(begin())).toBe('queue_full')
})

test('a writer’s folder that cannot be used is an error of storage, and one that is put right is used', async () => {
  writeFileSync(join(bench.dataDir, 'checkpoints'), '')
  const { checkpoints } = bench.open()
  expect(await codeOf(checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null }))).toBe('storage_failed')
  rmSync(join(bench.dataDir, 'checkpoints'))
  expect(await codeOf(checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null }))).toBe('done')
})

test('a writer that left nothing, or a symbolic link, seals nothing', async () => {
  const { checkpoints } = bench.open()
  const nothing = await checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  expect(await codeOf(checkpoints.seal(nothing.checkpoint_id, FACTS))).toBe('storage_failed')
  const linked = await checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  const target = join(bench.dataDir, 'target')
  writeFileSync(target, writerFile())
  symlinkSync(target, linked.path)
  expect(await codeOf(checkpoints.seal(linked.checkpoint_id, FACTS))).toBe('storage_failed')
  expect(statSync(target).size).toBe(writerFile().length)
})
