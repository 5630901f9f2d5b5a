/** `savepoint checkpoints` where no gateway runs: in the data folder itself. */

import { copyFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { runCheckpoints } from '../../src/main/checkpoints.js'
import { savedOf } from '../store/drafts.js'
import { Bench } from '../store/support.js'

let bench: Bench
let other: Bench
beforeEach(() => {
  bench = new Bench()
  other = new Bench()
})
afterEach(async () => {
  await bench.dispose()
  await other.dispose()
})

/** Exit code and what was printed as JSON, of a command in a data folder. */
// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into it as it likes
async function run(folder: Bench, ...args: string[]): Promise<[number, any]> {
  let text = ''
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk)
    return true
  })
  try {
    const code = await runCheckpoints([...args, '--json', '--data-dir', folder.dataDir])
    return [code, JSON.parse(text)]
  } finally {
    write.mockRestore()
  }
}

/** With one bit in its midst turned round. */
function flipped(content: Buffer): Buffer {
  const at = content.length >> 1
  content.writeUInt8(content.readUInt8(at) ^ 16, at)
  return content
}

test('lists, shows, checks, compares and deletes', async () => {
  const store = bench.open()
  const first = await savedOf(store, { a: 'one', big: Buffer.alloc(300_000, 1) }, { name: 'first' })
  const second = await savedOf(store, { a: 'two', big: Buffer.alloc(300_000, 1), b: 'new' }, { note: 'later' })
  const [, listed] = await run(bench, 'list')
  expect(listed.items.map(({ checkpoint_id: id }: { checkpoint_id: string }) => id)).toEqual([second, first])
  expect((await run(bench, 'list', '--search', 'later'))[1].total_count).toBe(1)
  expect((await run(bench, 'show', 'first'))[1]).toMatchObject({
    checkpoint_id: first,
    objects: [{ name: 'a' }, { name: 'big' }],
  })
  expect(await run(bench, 'validate', 'first')).toEqual([0, { valid: true, damaged: [] }])
  expect((await run(bench, 'diff', 'first', second))[1]).toMatchObject({
    added: [{ name: 'b' }],
    removed: [],
    changed: [{ name: 'a' }],
  })
  const file = join(bench.dataDir, 'checkpoints', `${second}.savepoint`)
  truncateSync(file, readFileSync(file).length - 1)
  const [code, told] = await run(bench, 'validate', second)
  expect([code, told.valid, told.damaged[0].code]).toEqual([1, false, 'damaged_checkpoint'])
  expect((await run(bench, 'delete', second))[1]).toEqual({ deleted: second })
  await expect(run(bench, 'show', second)).rejects.toMatchObject({ code: 'unknown_checkpoint' })
  await expect(run(bench, 'restore', 'first')).rejects.toMatchObject({ code: 'not_found' })
})

test('takes a checkpoint from one data folder to another that trusts it, and to no other', async () => {
  const id = await savedOf(bench.open(), { a: 'one', big: Buffer.alloc(300_000, 7) }, { name: 'mine' })
  const file = join(bench.dataDir, 'mine.savepoint')
  expect((await run(bench, 'export', 'mine', '-o', file))[1]).toMatchObject({ file })
  await expect(run(other, 'import', file)).rejects.toMatchObject({ code: 'foreign_checkpoint' })
  await expect(run(other, 'import', file, '--trust', 'lab')).rejects.toMatchObject({ code: 'foreign_checkpoint' })
  mkdirSync(join(other.dataDir, 'keys', 'trusted'), { recursive: true, mode: 0o700 })
  copyFileSync(join(bench.dataDir, 'keys', 'checkpoint.key'), join(other.dataDir, 'keys', 'trusted', 'lab.key'))
  for (const [name, content] of Object.entries({
    cut: readFileSync(file).subarray(0, -1),
    flipped: flipped(readFileSync(file)),
    none: Buffer.from('no checkpoint at all'),
    empty: Buffer.alloc(0),
  })) {
    const bad = join(bench.dataDir, `${name}.savepoint`)
    writeFileSync(bad, content)
    await expect(run(other, 'import', bad, '--trust', 'lab')).rejects.toMatchObject({ code: 'damaged_checkpoint' })
  }
  const [, made] = await run(other, 'import', file, '--trust', 'lab')
  expect(made.name).toBe('mine')
  expect((await run(other, 'validate', 'mine'))[1]).toEqual({ valid: true, damaged: [] })
  expect(made.checkpoint_id).not.toBe(id)
  expect((await run(other, 'list'))[1].total_count).toBe(1)
  expect(existsSync(join(bench.dataDir, 'gateway.json'))).toBe(false)
})
