import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Store } from '../../src/store/store.js'
import { Bench, checkpointOf, codeOf } from './support.js'

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url))

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

const checkpointsFolder = (): string => join(bench.dataDir, 'checkpoints')
const writingFolder = (): string => join(checkpointsFolder(), 'writing')

interface ChildResult {
  readonly sealed: string[]
  readonly session: number | null
}

/** Runs the child to its end, or kills it after it has sealed `killAfter` checkpoints and `thenMs` more passed. */
async function runChild(kernelId: string, rounds: number, killAfter = Infinity, thenMs = 0): Promise<ChildResult> {
  const child = spawn(process.execPath, [CHILD, bench.dataDir, kernelId, String(rounds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (said.split('\n').length > killAfter) setTimeout(() => child.kill('SIGKILL'), thenMs)
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (killAfter === Infinity) expect(code).toBe(0)
  const lines = said.split('\n').slice(0, -1)
  const session = lines.find((line) => line.startsWith('session '))
  return { sealed: lines.filter((line) => line.startsWith('cp_')), session: session ? Number(session.slice(8)) : null }
}

async function listedIds(store: Store): Promise<string[]> {
  return (await store.checkpoints.list({ limit: 1000 })).items.map((item) => item.checkpoint_id)
}

test('processes that start and write at once share one key, number their sessions apart, and lose nothing', async () => {
  const rounds = 25
  const names = ['kernel-a', 'kernel-b', 'kernel-c']
  const results = await Promise.all(names.map((name) => runChild(name, rounds)))
  expect(results.map(({ session }) => session).sort()).toEqual([1, 2, 3])
  const store = bench.open('kernel-d')
  for (const [index, name] of names.entries()) {
    const session = results[index]?.session
    const rows = await store.history.query({ hist_access_type: 'range', session })
    expect(rows).toEqual(Array.from({ length: rounds }, (_, line) => [session, line + 1, `${name} ${line + 1}`]))
  }
  const sealed = results.flatMap((result) => result.sealed)
  expect(sealed).toHaveLength(rounds * names.length)
  expect((await listedIds(store)).sort()).toEqual([...sealed].sort())
  for (const id of sealed) expect(await codeOf(store.checkpoints.verify(id))).toBe('done')
  expect(bench.logged).toEqual([])
})

test('what another process has just stored is found by its name at once', async () => {
  const store = bench.open('kernel-b')
  expect(await codeOf(store.checkpoints.find('round 2', 'kernel-b'))).toBe('unknown_checkpoint')
  const { sealed } = await runChild('kernel-a', 2)
  expect(await store.checkpoints.find('round 2', 'kernel-b')).toBe(sealed[1])
})

test.each([0, 1, 2, 3, 5, 8])('a kill %d ms after a checkpoint leaves every sealed one whole', async (thenMs) => {
  const { sealed } = await runChild('kernel-a', 1000, 3, thenMs)
  const store = bench.open('kernel-b')
  const listed = await listedIds(store)
  for (const id of sealed) expect(listed).toContain(id)
  // One more may be there that was stored but not told about; whatever is there is whole.
  for (const id of listed) expect(await codeOf(store.checkpoints.verify(id))).toBe('done')
  // What the killed process was writing is gone, and its folder too.
  await checkpointOf(store, 'after', 'kernel-b')
  expect(readdirSync(writingFolder())).toHaveLength(1)
})

test('checkpoints are taken up from their files when the database is lost', async () => {
  const first = bench.open()
  const ids = [await checkpointOf(first, 'a'), await checkpointOf(first, 'b')]
  const before = await first.checkpoints.list()
  await first.close()
  for (const name of readdirSync(bench.dataDir)) {
    if (name.startsWith('savepoint.sqlite')) rmSync(join(bench.dataDir, name))
  }
  writeFileSync(join(checkpointsFolder(), `cp_${'0'.repeat(32)}.savepoint`), 'garbage')
  const second = bench.open()
  expect(await second.checkpoints.list()).toEqual(before)
  expect(await second.checkpoints.find('a', 'kernel-a')).toBe(ids[0])
  expect(bench.events()).toEqual(['checkpoint_unreadable'])
})

test('checkpoints are taken up again when the database turns out to be damaged while it is used', async () => {
  const store = bench.open()
  const ids = [await checkpointOf(store, 'a'), await checkpointOf(store, 'b')]
  await store.close()
  const path = join(bench.dataDir, 'savepoint.sqlite')
  const again = bench.open()
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 4096)
  writeFileSync(path, bytes)
  expect((await listedIds(again)).sort()).toEqual([...ids].sort())
  expect(bench.events()).toContain('database_damaged')
})

test('a checkpoint whose file is gone is no longer listed after the next start', async () => {
  const first = bench.open()
  const gone = await checkpointOf(first, 'a')
  const kept = await checkpointOf(first, 'b')
  await first.close()
  rmSync(join(checkpointsFolder(), `${gone}.savepoint`))
  expect(await listedIds(bench.open())).toEqual([kept])
})

test('unfinished files of a living process stay, and those of one that cannot be asked stay for a day', async () => {
  const living = bench.open()
  const { path } = await living.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null })
  writeFileSync(path, 'half')
  const elsewhere = join(writingFolder(), '0123456789ab-42-1000')
  mkdirSync(elsewhere)
  await checkpointOf(bench.open('kernel-b'), null, 'kernel-b')
  expect(readFileSync(path, 'utf8')).toBe('half')
  expect(readdirSync(writingFolder())).toContain('0123456789ab-42-1000')
  utimesSync(elsewhere, new Date(0), new Date(0))
  await checkpointOf(bench.open('kernel-c'), null, 'kernel-c')
  expect(readdirSync(writingFolder())).not.toContain('0123456789ab-42-1000')
})
