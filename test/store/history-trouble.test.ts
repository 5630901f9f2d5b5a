import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Libsql from 'libsql'
import { storeLimits } from '../../src/store/limits.js'
import { Bench } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const TAIL = { hist_access_type: 'tail', n: 100 }
const databasePath = (): string => join(bench.dataDir, 'savepoint.sqlite')

/** The longest time, while it is watched, for which the event loop does nothing else. */
async function longestGapMs(watchMs: number): Promise<number> {
  let longest = 0
  for (let last = performance.now(), until = last + watchMs; last < until;) {
    await new Promise((resolve) => setImmediate(resolve))
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  return longest
}

test('a folder that cannot be made costs one warning; history goes on in memory', async () => {
  writeFileSync(join(bench.dataDir, 'file'), '')
  const store = bench.open('kernel-a', join(bench.dataDir, 'file', 'below'))
  for (let line = 1; line <= 300; line += 1) store.history.record({ line, source: `cell ${line}` })
  const rows = await store.history.query({ hist_access_type: 'tail', n: 300 })
  expect(rows[0]).toEqual([1, 1, 'cell 1'])
  store.history.record({ line: 301, source: 'later' })
  expect(await store.history.query({ hist_access_type: 'range', session: 0, start: 301 })).toEqual([[0, 301, 'later']])
  expect(bench.events()).toEqual(['history_in_memory'])
})

test('a database that fails in the middle leaves this session’s cells and its number', async () => {
  const before = bench.open('kernel-before')
  before.history.record({ line: 1, source: 'old' })
  await before.close()
  const store = bench.open()
  store.history.record({ line: 1, source: 'a' })
  store.history.recordResult(1, { output: '1' })
  await store.history.flush()
  // Refuses writes and still answers reads, as a full disk does.
  const other = new Libsql(databasePath())
  other.exec("CREATE TRIGGER full BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'disk full'); END")
  other.close()
  store.history.record({ line: 2, source: 'b' })
  expect(await store.history.query({ ...TAIL, output: true })).toEqual([
    [2, 1, ['a', '1']],
    [2, 2, ['b', null]],
  ])
  expect(bench.events()).toEqual(['history_in_memory'])
  expect(bench.logged[0]?.fields['reason']).toContain('disk full')
})

test('in memory the oldest cells make room', async () => {
  writeFileSync(join(bench.dataDir, 'file'), '')
  const store = bench.open('kernel-a', join(bench.dataDir, 'file'))
  const most = storeLimits.historyMemoryRowsMax
  for (let line = 1; line <= most + 50; line += 1) {
    store.history.record({ line, source: `cell ${line}` })
    if (line % 5000 === 0) await store.history.flush()
  }
  const rows = await store.history.query({ hist_access_type: 'range', session: 0 })
  expect(rows).toHaveLength(most)
  expect(rows[0]?.[1]).toBe(51)
})

test('a database of a newer release is left alone and said to be one', async () => {
  const first = bench.open()
  await first.history.query(TAIL)
  await first.close()
  const newer = new Libsql(databasePath())
  newer.exec("INSERT INTO migrations VALUES (99, 'of the future', '')")
  newer.close()
  const store = bench.open()
  store.history.record({ line: 1, source: 'a' })
  expect(await store.history.query(TAIL)).toEqual([[1, 1, 'a']])
  expect(bench.logged[0]?.fields['reason']).toContain('newer release')
  await expect(store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })).rejects.toMatchObject({
    code: 'storage_failed',
    message: expect.stringContaining('newer release'),
  })
})

test('a damaged database is moved aside and a new one made', async () => {
  const content = Buffer.alloc(8192, 'not a database')
  writeFileSync(databasePath(), content)
  const store = bench.open()
  store.history.record({ line: 1, source: 'a' })
  expect(await store.history.query(TAIL)).toEqual([[1, 1, 'a']])
  expect(bench.events()).toEqual(['database_damaged'])
  const aside = readdirSync(bench.dataDir).find((name) => name.includes('.damaged-'))
  expect(readFileSync(join(bench.dataDir, aside ?? '')).equals(content)).toBe(true)
})

test('damage that shows later is treated the same way, and both tables are whole again', async () => {
  const first = bench.open()
  for (let line = 1; line <= 400; line += 1) first.history.record({ line, source: `cell ${line} ${'x'.repeat(200)}` })
  await first.close()
  // The first pages (the schema) stay whole, so that the damage does not show when the database is opened.
  const bytes = readFileSync(databasePath())
  expect(bytes.length).toBeGreaterThan(80 * 1024)
  bytes.fill(0xa5, 16 * 4096)
  writeFileSync(databasePath(), bytes)
  const store = bench.open()
  store.history.record({ line: 1, source: 'a' })
  const rows = await store.history.query({ hist_access_type: 'search', pattern: '*' })
  expect(rows.at(-1)?.[2]).toBe('a')
  expect(bench.events()).toEqual(['database_damaged'])
  const id = (await store.checkpoints.begin({ kernelId: 'kernel-a', name: 'n', note: null })).checkpoint_id
  await store.checkpoints.abandon(id)
})

test('another process that holds the lock for a while is waited for, without holding up this one', async () => {
  const store = bench.open()
  await store.history.query(TAIL)
  const other = new Libsql(databasePath())
  other.exec('BEGIN IMMEDIATE')
  store.history.record({ line: 1, source: 'a' })
  let done = false
  const flushed = store.history.flush().then(() => (done = true))
  // A busy machine holds us up now and then, a wait inside of SQLite would every time. The store gives up after 5 s.
  let leastGapMs = Infinity
  for (const end = performance.now() + 3500; leastGapMs >= 200 && performance.now() < end;) {
    leastGapMs = Math.min(leastGapMs, await longestGapMs(400))
    expect(done).toBe(false)
  }
  // SQLite itself is told to wait 10 ms at most.
  expect(leastGapMs).toBeLessThan(200)
  other.exec('COMMIT')
  other.close()
  await flushed
  expect(await store.history.query(TAIL)).toEqual([[1, 1, 'a']])
  expect(bench.logged).toEqual([])
})

test('folder and database are for their owner alone', async () => {
  const dataDir = join(bench.dataDir, 'new', 'folder')
  await bench.open('kernel-a', dataDir).history.query(TAIL)
  expect(statSync(dataDir).mode & 0o777).toBe(0o700)
  for (const name of readdirSync(dataDir)) expect(statSync(join(dataDir, name)).mode & 0o077).toBe(0)
})

test('a folder that others may write to is used and warned about, and keeps its mode', async () => {
  const dataDir = join(bench.dataDir, 'open')
  mkdirSync(dataDir, { mode: 0o700 })
  chmodSync(dataDir, 0o777)
  await bench.open('kernel-a', dataDir).history.query(TAIL)
  expect(bench.events()).toEqual(['data_dir_open_to_others'])
  expect(statSync(dataDir).mode & 0o777).toBe(0o777)
})
