/** Whose checkpoints and whose history: kernels of different owners share a data folder, and nothing in it. */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Libsql from 'libsql'
import { LOCAL_SUBJECT } from '../../src/gateway/auth/principal.js'
import { LOCAL_OWNER } from '../../src/store/owner.js'
import { openStores } from '../../src/store/store.js'
import { systemClock } from '../../src/clock.js'
import { silentLog } from '../../src/log.js'
import { Bench, checkpointOf, codeOf } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const of = (owner: string, kernelId = 'kernel-a') => bench.open(kernelId, bench.dataDir, owner)

test("what names no owner is the local user's, as is what the gateway's own token makes", () => {
  expect(LOCAL_OWNER).toBe(LOCAL_SUBJECT)
})

describe('a checkpoint', () => {
  test('is found by its owner alone, whatever the kernel is called', async () => {
    const ann = of('ann')
    const bob = of('bob')
    const id = await checkpointOf(ann, 'mine')
    expect(await of('ann', 'kernel-new').checkpoints.find('mine', 'kernel-new')).toBe(id)
    expect(await codeOf(bob.checkpoints.find('mine', 'kernel-a'))).toBe('unknown_checkpoint')
    expect(await bob.checkpoints.get(id)).toBeNull()
    expect(await bob.checkpoints.list({}, 'kernel-a')).toEqual({ items: [], total_count: 0, head: null })
    expect(await codeOf(bob.checkpoints.verify(id))).toBe('foreign_checkpoint')
    expect(await codeOf(ann.checkpoints.verify(id))).toBe('done')
    await bob.checkpoints.prune('kernel-a', '', '')
    expect((await ann.checkpoints.list()).total_count).toBe(1)
  })

  test("of the same name and kernel id is no parent of, nor in the way of, another owner's", async () => {
    const ann = of('ann')
    const bob = of('bob')
    const hers = await checkpointOf(ann, 'n')
    const his = await checkpointOf(bob, 'n')
    expect(await ann.checkpoints.find('n', 'kernel-a')).toBe(hers)
    expect(await bob.checkpoints.find('n', 'kernel-a')).toBe(his)
    expect((await bob.checkpoints.get(his))?.parent_id).toBeNull()
  })

  test("is seen by who sees everybody's, and by one owner's name only where that is asked for", async () => {
    const hers = await checkpointOf(of('ann'), 'n')
    const his = await checkpointOf(of('bob'), 'n')
    const stores = openStores({ dataDir: bench.dataDir, log: silentLog, clock: systemClock })
    const all = stores.of('gateway', null).checkpoints
    expect((await all.list()).items.map((item) => item.checkpoint_id)).toEqual([his, hers])
    expect((await all.list({ owner: 'ann' })).items.map((item) => item.checkpoint_id)).toEqual([hers])
    expect(await all.get(his, 'ann')).toBeNull()
    expect([await all.find('n', null, 'ann'), await all.find('n', null, 'bob')]).toEqual([hers, his])
    expect(await codeOf(all.find('n', null, 'eve'))).toBe('unknown_checkpoint')
    expect(await codeOf(all.verify(hers))).toBe('done')
    await all.close()
    await stores.close()
  })

  test('keeps its owner in its file, signed: a new index finds it out, and a changed name is damage', async () => {
    const id = await checkpointOf(of('ann'), 'mine')
    const elsewhere = new Bench()
    try {
      // The same folder without its database.
      await checkpointOf(elsewhere.open(), 'first')
      const path = join(elsewhere.dataDir, 'checkpoints', `${id}.savepoint`)
      copyFileSync(join(bench.dataDir, 'keys', 'checkpoint.key'), join(elsewhere.dataDir, 'keys', 'checkpoint.key'))
      copyFileSync(join(bench.dataDir, 'checkpoints', `${id}.savepoint`), path)
      const ann = elsewhere.open('kernel-new', elsewhere.dataDir, 'ann')
      expect(await ann.checkpoints.find('mine', null)).toBe(id)
      expect(await codeOf(elsewhere.open('kernel-new').checkpoints.find('mine', null))).toBe('unknown_checkpoint')
      const bytes = readFileSync(path)
      bytes.write('bob', bytes.lastIndexOf('"owner":"ann"') + 9)
      writeFileSync(path, bytes)
      const bob = elsewhere.open('kernel-new', elsewhere.dataDir, 'bob')
      expect(await codeOf(bob.checkpoints.verify(id))).toBe('damaged_checkpoint')
    } finally {
      await elsewhere.dispose()
    }
  })
})

describe('history', () => {
  test('shows nobody what another has typed', async () => {
    const ann = of('ann')
    ann.history.record({ line: 1, source: 'secret = 1' })
    ann.history.recordResult(1, { output: '1' })
    await ann.history.flush()
    const bob = of('bob', 'kernel-b')
    bob.history.record({ line: 1, source: 'mine = 2' })
    for (const output of [false, true]) {
      for (const request of [
        { hist_access_type: 'tail', n: 10 },
        { hist_access_type: 'search', pattern: '*' },
        { hist_access_type: 'search', pattern: '*', unique: true },
        { hist_access_type: 'range', session: 0 },
      ]) {
        const rows = await bob.history.query({ ...request, output })
        expect(rows.map(([, line, input]) => [line, input])).toEqual([[1, output ? ['mine = 2', null] : 'mine = 2']])
      }
      expect(await bob.history.query({ hist_access_type: 'range', session: 1, output })).toEqual([])
    }
  })

  test('counts back over the sessions of its own', async () => {
    for (const [owner, source] of [
      ['ann', 'first'],
      ['bob', 'other'],
      ['ann', 'second'],
    ] as const) {
      const store = of(owner, `kernel-${source}`)
      store.history.record({ line: 1, source })
      await store.close()
    }
    const ann = of('ann')
    const at = async (session: number) => await ann.history.query({ hist_access_type: 'range', session })
    expect(await at(-1)).toEqual([[3, 1, 'second']])
    expect(await at(-2)).toEqual([[1, 1, 'first']])
    expect(await at(-3)).toEqual([])
  })
})

test("a database of the first version is brought up to date, and all of it is the local user's", async () => {
  const local = bench.open()
  const id = await checkpointOf(local, 'old')
  local.history.record({ line: 1, source: 'typed' })
  await local.close()
  const database = new Libsql(join(bench.dataDir, 'savepoint.sqlite'))
  database.exec(`
    DROP INDEX sessions_by_subject;
    DROP INDEX checkpoints_by_subject;
    ALTER TABLE sessions DROP COLUMN subject;
    ALTER TABLE checkpoints DROP COLUMN subject;
    DROP TABLE packs;
    DROP TABLE chunks;
    DROP TABLE heads;
    DROP TABLE collections;
    ALTER TABLE checkpoints DROP COLUMN file_bytes;
    DELETE FROM migrations WHERE version >= 2;
  `)
  database.close()
  const later = bench.open('kernel-b')
  expect(await later.checkpoints.find('old', 'kernel-b')).toBe(id)
  expect(await later.history.query({ hist_access_type: 'tail' })).toEqual([[1, 1, 'typed']])
  const ann = of('ann')
  expect(await codeOf(ann.checkpoints.find('old', null))).toBe('unknown_checkpoint')
  expect(await ann.history.query({ hist_access_type: 'tail' })).toEqual([])
})
