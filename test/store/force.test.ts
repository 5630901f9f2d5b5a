/** Stores under force: disks that are full or gone, folders that are removed, clocks that jump. All go on when they can. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Libsql from 'libsql'
import { systemClock } from '../../src/clock.js'
import { openAudit } from '../../src/main/audit.js'
import { readSettings } from '../../src/settings.js'
import { storeLimits } from '../../src/store/limits.js'
import { openStore, type Store } from '../../src/store/store.js'
import { Bench, checkpointOf } from './support.js'

const TAIL = { hist_access_type: 'tail', n: 1_000 }

let bench: Bench
/** Of the stores that this file opens: how far the monotonic clock is ahead. */
let laterMs = 0
let lost = 0
const events: string[] = []
const stores: Store[] = []

beforeEach(() => {
  bench = new Bench()
  laterMs = 0
  lost = 0
  events.length = 0
})
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
  await bench.dispose()
})

function open(dataDir = bench.dataDir, kernelId = 'kernel-a'): Store {
  const store = openStore({
    dataDir,
    kernelId,
    log: (_level, event) => void events.push(event),
    clock: { ...systemClock, now: () => systemClock.now() + laterMs },
    onHistoryLost: (lines) => (lost += lines),
  })
  stores.push(store)
  return store
}

async function linesOf(store: Store): Promise<unknown[]> {
  return (await store.history.query(TAIL)).map((row) => row[2])
}

/** A disk of its own; null where none may be mounted. */
function smallDisk(): { readonly path: string; fill(): void; free(): void; remount(how: 'ro' | 'rw'): void } | null {
  const path = mkdtempSync(join(tmpdir(), 'savepoint-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return null
  }
  disks.push(path)
  const filler = join(path, 'filler')
  return {
    path,
    fill() {
      for (const size of [65_536, 4_096, 1]) {
        try {
          for (;;) writeFileSync(filler, randomBytes(size), { flag: 'a' })
        } catch {
          // Full.
        }
      }
    },
    free: () => rmSync(filler),
    remount: (how) => execFileSync('mount', ['-o', `remount,${how}`, path]),
  }
}

const disks: string[] = []
afterEach(() => {
  for (const path of disks.splice(0)) {
    execFileSync('umount', ['-l', path])
    rmSync(path, { recursive: true })
  }
})

describe('the history', () => {
  test('goes on in memory on a full disk, and is in the database when there is room again', async () => {
    const disk = smallDisk()
    if (!disk) return
    const store = open(join(disk.path, 'data'))
    store.history.record({ line: 1, source: 'before' })
    await store.history.flush()
    disk.fill()
    for (let line = 2; line <= 300; line += 1) store.history.record({ line, source: `${line} ${'x'.repeat(500)}` })
    store.history.recordResult(300, { output: 'a result' })
    expect((await linesOf(store)).length).toBe(300)
    expect(events).toEqual(['history_in_memory'])
    disk.free()
    laterMs = storeLimits.historyRetryMs
    store.history.record({ line: 301, source: 'after' })
    expect((await linesOf(store)).length).toBe(301)
    expect(events).toEqual(['history_in_memory', 'history_kept_again'])
    await store.close()
    const next = open(join(disk.path, 'data'), 'kernel-b')
    const kept = await next.history.query({ ...TAIL, output: true })
    expect(kept.map(([, line]) => line)).toEqual(Array.from({ length: 301 }, (_, i) => i + 1))
    expect(kept[299]?.[2]).toEqual([expect.stringMatching(/^300 /), 'a result'])
    expect(lost).toBe(0)
  })

  test('that could not be kept until the end is counted, and told once', async () => {
    writeFileSync(join(bench.dataDir, 'file'), '')
    const store = open(join(bench.dataDir, 'file', 'below'))
    for (let line = 1; line <= 3; line += 1) store.history.record({ line, source: `cell ${line}` })
    await store.close()
    expect(lost).toBe(3)
    expect(events).toEqual(['history_in_memory', 'history_rows_lost'])
  })

  test('of kernels that were away together is kept under numbers of their own', async () => {
    const folder = join(bench.dataDir, 'blocked')
    writeFileSync(folder, '')
    const [one, two] = [open(folder, 'kernel-a'), open(folder, 'kernel-b')]
    one.history.record({ line: 1, source: 'one' })
    two.history.record({ line: 1, source: 'two' })
    await Promise.all([one.history.flush(), two.history.flush()])
    rmSync(folder)
    laterMs = storeLimits.historyRetryMs
    one.history.record({ line: 2, source: 'one more' })
    two.history.record({ line: 2, source: 'two more' })
    await Promise.all([one.history.flush(), two.history.flush()])
    const rows = await one.history.query(TAIL)
    expect(rows.map(([, , source]) => source).toSorted()).toEqual(['one', 'one more', 'two', 'two more'])
    expect(new Set(rows.map(([session]) => session)).size).toBe(2)
  })
})

describe('a database', () => {
  test('that was removed with its folder while it is used is made anew; nothing goes to a file that is gone', async () => {
    const store = open()
    await checkpointOf(store, 'first')
    store.history.record({ line: 1, source: 'before' })
    await store.history.flush()
    for (const name of readdirSync(bench.dataDir)) rmSync(join(bench.dataDir, name), { recursive: true })
    store.history.record({ line: 2, source: 'after' })
    expect(await linesOf(store)).toEqual(['after'])
    expect(await checkpointOf(store, 'second')).toMatch(/^cp_/)
    const { items } = await store.checkpoints.list()
    expect(items.map(({ name }) => name)).toEqual(['second'])
    expect(events).toContain('database_gone')
    expect(existsSync(join(bench.dataDir, 'savepoint.sqlite'))).toBe(true)
  })

  test('that another one was put in the place of is followed', async () => {
    const [store, other] = [open(), open(join(bench.dataDir, 'other'), 'kernel-b')]
    other.history.record({ line: 1, source: 'of the other' })
    await other.close()
    store.history.record({ line: 1, source: 'before' })
    await store.history.flush()
    for (const suffix of ['-wal', '-shm']) rmSync(join(bench.dataDir, `savepoint.sqlite${suffix}`), { force: true })
    renameSync(join(bench.dataDir, 'other', 'savepoint.sqlite'), join(bench.dataDir, 'savepoint.sqlite'))
    store.history.record({ line: 2, source: 'after' })
    expect(await linesOf(store)).toEqual(['of the other', 'after'])
  })

  test('of which half was overwritten is moved aside, and checkpoints are listed from their files', async () => {
    const store = open()
    await checkpointOf(store, 'kept')
    await store.close()
    const path = join(bench.dataDir, 'savepoint.sqlite')
    const bytes = readFileSync(path)
    randomBytes(Math.floor(bytes.length / 2)).copy(bytes, Math.floor(bytes.length / 4))
    writeFileSync(path, bytes)
    const next = open()
    const { items } = await next.checkpoints.list()
    expect(items.map(({ name }) => name)).toEqual(['kept'])
    next.history.record({ line: 1, source: 'goes on' })
    expect(await linesOf(next)).toContain('goes on')
    expect(readdirSync(bench.dataDir).some((name) => name.includes('.damaged-'))).toBe(true)
  })

  test('that somebody keeps locked is told by name, and is used again', async () => {
    const store = open()
    await checkpointOf(store, 'first')
    const other = new Libsql(join(bench.dataDir, 'savepoint.sqlite'))
    other.exec('BEGIN IMMEDIATE')
    await expect(store.checkpoints.setHead('kernel-a', null, 'main')).rejects.toMatchObject({
      code: 'storage_failed',
      message: expect.stringContaining('locked'),
    })
    other.exec('ROLLBACK')
    other.close()
    await store.checkpoints.setHead('kernel-a', null, 'main')
  })
})

test('a disk that can only be read is told by name; history goes on, and all of it when it can be written again', async () => {
  const disk = smallDisk()
  if (!disk) return
  const before = open()
  const first = await checkpointOf(before, 'first')
  await before.close()
  // A copy, since nobody may have a file open there that he writes to.
  cpSync(bench.dataDir, join(disk.path, 'data'), { recursive: true })
  disk.remount('ro')
  const store = open(join(disk.path, 'data'))
  store.history.record({ line: 1, source: 'meanwhile' })
  expect(await linesOf(store)).toEqual(['meanwhile'])
  await expect(checkpointOf(store, 'second')).rejects.toMatchObject({
    code: 'storage_failed',
    message: expect.stringContaining('EROFS'),
  })
  await expect(store.checkpoints.validate(first)).rejects.toMatchObject({ code: 'storage_failed' })
  disk.remount('rw')
  laterMs = storeLimits.historyRetryMs
  expect(await store.checkpoints.validate(first)).toEqual({ valid: true, damaged: [] })
  await checkpointOf(store, 'second')
  expect((await store.checkpoints.list()).total_count).toBe(2)
  expect(await linesOf(store)).toEqual(['meanwhile'])
  expect(events).toEqual(['history_in_memory', 'history_kept_again'])
  expect(lost).toBe(0)
})

test('checkpoints can be made again after the disk was full', async () => {
  const disk = smallDisk()
  if (!disk) return
  const store = open(join(disk.path, 'data'))
  await checkpointOf(store, 'first')
  disk.fill()
  await expect(checkpointOf(store, 'second')).rejects.toThrow(/ENOSPC|cannot be used|could not be stored/)
  disk.free()
  await checkpointOf(store, 'third')
  const { items } = await store.checkpoints.list()
  expect(items.map(({ name }) => name)).toEqual(['third', 'first'])
})

test('the audit log says what it lost on a full disk, and tears no line', () => {
  const disk = smallDisk()
  if (!disk) return
  const values = { ...readSettings({}).values, 'audit.enabled': true }
  const told: string[] = []
  let missing = 0
  const audit = openAudit(
    values,
    disk.path,
    (_level, event) => void told.push(event),
    () => (missing += 1),
  )
  const act = (kernel: string): void => audit?.observe({ what: 'kernel_ended', kernel, owner: 'x'.repeat(3_000) })
  act('1')
  disk.fill()
  for (let i = 0; i < 10; i += 1) act('lost')
  disk.free()
  act('2')
  const text = readFileSync(join(disk.path, 'audit', 'audit.jsonl'), 'utf8')
  const whole = text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as { action: string; kernel?: string; lines?: number }]
    } catch {
      return []
    }
  })
  expect(missing).toBeGreaterThan(0)
  expect(whole.at(-1)).toMatchObject({ action: 'end', kernel: '2' })
  expect(whole.at(-2)).toMatchObject({ action: 'lost', lines: missing })
  expect(told).toEqual(['audit_failed', 'audit_recovered'])
  audit?.close()
})

describe('clocks that jump', () => {
  test('leave checkpoints in the order in which they were made, as far as a list goes', async () => {
    const store = bench.open()
    await checkpointOf(store, 'first')
    bench.aheadMs = -86_400_000
    await checkpointOf(store, 'yesterday')
    bench.aheadMs = 86_400_000
    await checkpointOf(store, 'tomorrow')
    bench.aheadMs = 0
    const id = await store.checkpoints.find('yesterday', 'kernel-a')
    expect((await store.checkpoints.verify(id)).record.name).toBe('yesterday')
    expect((await store.checkpoints.list()).total_count).toBe(3)
  })

  test('do not keep garbage from being collected', async () => {
    const store = bench.open()
    const id = await checkpointOf(store, 'first')
    await store.checkpoints.remove(id)
    // A process took the lease when the clock was a year ahead, and was killed.
    const other = new Libsql(join(bench.dataDir, 'savepoint.sqlite'))
    other.exec(
      `INSERT OR REPLACE INTO collections (subject, generation, holder, until_ms, due)
       VALUES ('local', 0, 'gone', ${Date.now() + 365 * 86_400_000}, 1)`,
    )
    other.close()
    await store.checkpoints.collect()
    const again = new Libsql(join(bench.dataDir, 'savepoint.sqlite'))
    const [row] = again.prepare("SELECT holder FROM collections WHERE subject = 'local'").all() as { holder: unknown }[]
    again.close()
    expect(row?.holder).toBeNull()
  })
})
