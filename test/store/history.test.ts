import type { HistoryEntry } from '../../src/store/history/history.js'
import type { HistoryRow } from '../../src/store/history/history-query.js'
import type { Store } from '../../src/store/store.js'
import { Bench, codeOf } from './support.js'

let bench: Bench
beforeEach(() => {
  bench = new Bench()
})
afterEach(() => bench.dispose())

/** Records cells on lines 1, 2, ... */
function type(store: Store, ...sources: string[]): void {
  sources.forEach((source, index) => store.history.record({ line: index + 1, source }))
}

/** The last session of another kernel, which has ended. */
async function earlierSession(...sources: string[]): Promise<void> {
  const store = bench.open('kernel-before')
  type(store, ...sources)
  await store.close()
}

function inputs(rows: readonly HistoryRow[]): unknown[] {
  return rows.map(([, , input]) => input)
}

describe('tail', () => {
  test('holds the latest cell and is oldest first', async () => {
    const store = bench.open()
    type(store, '6*7', '1+2', '"x"')
    const rows = await store.history.query({ hist_access_type: 'tail', n: 2, raw: true, output: false })
    expect(rows).toEqual([
      [1, 2, '1+2'],
      [1, 3, '"x"'],
    ])
  })

  test('puts cells of other sessions before those of this one, even when they are newer', async () => {
    const store = bench.open()
    type(store, 'mine')
    await store.history.flush()
    await earlierSession('a', 'b')
    const rows = await store.history.query({ hist_access_type: 'tail', n: 5 })
    expect(rows).toEqual([
      [2, 1, 'a'],
      [2, 2, 'b'],
      [1, 1, 'mine'],
    ])
  })

  test('gives ten rows when n is absent, null or no number, and none for zero or less', async () => {
    const store = bench.open()
    type(store, ...Array.from({ length: 12 }, (_, index) => `cell ${index}`))
    for (const n of [undefined, null, 'many', 1.5]) {
      expect(await store.history.query({ hist_access_type: 'tail', n })).toHaveLength(10)
    }
    for (const n of [0, -1]) expect(await store.history.query({ hist_access_type: 'tail', n })).toEqual([])
  })
})

describe('range', () => {
  test('counts sessions back from the present one', async () => {
    await earlierSession('old')
    const store = bench.open()
    type(store, 'new')
    expect(await store.history.query({ hist_access_type: 'range', session: 0 })).toEqual([[0, 1, 'new']])
    expect(await store.history.query({ hist_access_type: 'range', session: 2 })).toEqual([[2, 1, 'new']])
    expect(await store.history.query({ hist_access_type: 'range', session: -1 })).toEqual([[1, 1, 'old']])
    expect(await store.history.query({ hist_access_type: 'range', session: -9 })).toEqual([])
    expect(await store.history.query({ hist_access_type: 'range', session: 9 })).toEqual([])
  })

  test('leaves out the line it stops at, and counts negative lines from the end', async () => {
    const store = bench.open()
    type(store, 'a', 'b', 'c', 'd')
    const lines = async (start: number, stop?: number | null): Promise<unknown[]> =>
      inputs(await store.history.query({ hist_access_type: 'range', start, stop }))
    expect(await lines(2, 4)).toEqual(['b', 'c'])
    expect(await lines(3)).toEqual(['c', 'd'])
    expect(await lines(0, null)).toEqual(['a', 'b', 'c', 'd'])
    expect(await lines(1, 0)).toEqual(['a', 'b', 'c', 'd'])
    expect(await lines(-1)).toEqual(['d'])
    expect(await lines(1, -1)).toEqual(['a', 'b', 'c'])
    expect(await lines(1, 99)).toEqual(['a', 'b', 'c', 'd'])
    expect(await lines(3, 2)).toEqual([])
  })
})

describe('search', () => {
  test('matches like a shell, over all sessions, oldest first', async () => {
    await earlierSession('1+2', 'import os')
    const store = bench.open()
    type(store, '1-2+3', 'x = 12', 'a*b')
    const search = async (pattern?: string, more = {}): Promise<unknown[]> =>
      inputs(await store.history.query({ hist_access_type: 'search', pattern, ...more }))
    expect(await search('1?2*')).toEqual(['1+2', '1-2+3'])
    expect(await search('a[*]b')).toEqual(['a*b'])
    expect(await search('*', { n: 2 })).toEqual(['x = 12', 'a*b'])
    expect(await search()).toHaveLength(5)
    expect(await search("'; DROP TABLE history; --")).toEqual([])
  })

  test('keeps of equal cells the latest when they are to be unique', async () => {
    await earlierSession('1+2', '1+2', 'y')
    const store = bench.open()
    type(store, 'z', '1+2')
    expect(await store.history.query({ hist_access_type: 'search', pattern: '*', unique: true })).toEqual([
      [1, 3, 'y'],
      [2, 1, 'z'],
      [2, 2, '1+2'],
    ])
  })

  test('refuses a pattern that is too long to match in time', async () => {
    const query = bench.open().history.query({ hist_access_type: 'search', pattern: '*a'.repeat(600) })
    expect(await codeOf(query)).toBe('bad_request')
    expect(bench.logged).toEqual([])
  })
})

describe('what a cell leaves', () => {
  test('its result comes with it where outputs are asked for', async () => {
    const store = bench.open()
    type(store, '6*7', 'x = 1')
    store.history.recordResult(1, { output: '42' })
    for (const request of [
      { hist_access_type: 'range', session: 0 },
      { hist_access_type: 'tail' },
      { hist_access_type: 'search' },
    ]) {
      const rows = await store.history.query({ ...request, output: true })
      expect(inputs(rows)).toEqual([
        ['6*7', '42'],
        ['x = 1', null],
      ])
    }
  })

  test('the transformed text is given where it is known and raw is false', async () => {
    const store = bench.open()
    const entry: HistoryEntry = { line: 1, source: '%ls', transformed: "get_ipython().run_line_magic('ls', '')" }
    store.history.record(entry)
    store.history.record({ line: 2, source: 'x' })
    expect(inputs(await store.history.query({ hist_access_type: 'tail', raw: false }))).toEqual([
      entry.transformed,
      'x',
    ])
    expect(inputs(await store.history.query({ hist_access_type: 'tail', raw: true }))).toEqual(['%ls', 'x'])
  })

  test('text survives as it was typed, but for the line breaks at its end', async () => {
    const store = bench.open()
    const source = '# Grüße, 世界 \u{1f40d}\r\n\tprint("a\'b")  '
    type(store, `${source}\n\n`, 'a\0b')
    expect(inputs(await store.history.query({ hist_access_type: 'tail' }))).toEqual([source, 'a\ufffdb'])
  })

  test('a million blank lines are kept, but for those at the end', async () => {
    const store = bench.open()
    const blank = '\n'.repeat(1_000_000)
    type(store, `a = 1${blank}b = 2${blank}`)
    const rows = await store.history.query({ hist_access_type: 'tail', n: 1, raw: true, output: false })
    // Compared by hand: what a failure would print is as long.
    expect(inputs(rows)[0] === `a = 1${blank}b = 2`).toBe(true)
  })

  test('exit and quit are not kept', async () => {
    const store = bench.open()
    type(store, 'exit', 'quit()', ' exit (0) ', 'exit_code = 1')
    expect(inputs(await store.history.query({ hist_access_type: 'tail' }))).toEqual(['exit_code = 1'])
  })

  test('a line that comes again, as after a restart, belongs to a new session', async () => {
    const store = bench.open()
    type(store, 'a', 'b')
    type(store, 'c')
    expect(await store.history.query({ hist_access_type: 'tail' })).toEqual([
      [1, 1, 'a'],
      [1, 2, 'b'],
      [2, 1, 'c'],
    ])
    store.history.beginSession()
    expect(await store.history.query({ hist_access_type: 'range', session: 0 })).toEqual([])
    expect(await store.history.session()).toBe(3)
  })
})

test('an unknown kind of request, and a malformed one, have no rows', async () => {
  const store = bench.open()
  type(store, 'a')
  for (const hist_access_type of ['all', undefined, null, 7, {}]) {
    expect(await store.history.query({ hist_access_type })).toEqual([])
  }
})

test('what the kernel test suite of Jupyter asks of an empty history is answered', async () => {
  const store = bench.open()
  const codes = ['6*7', '1+2', '12', '1+2']
  let line = 0
  const execute = (): void => codes.forEach((source) => store.history.record({ line: (line += 1), source }))
  execute()
  const tail = await store.history.query({ hist_access_type: 'tail', n: codes.length, raw: true, output: false })
  expect(inputs(tail)).toEqual(codes)
  const [session, start] = tail[0] ?? [0, 0]
  execute()
  const outputs = await store.history.query({ hist_access_type: 'tail', n: codes.length, raw: true, output: true })
  expect(outputs.map((row) => row[2].length)).toEqual([2, 2, 2, 2])
  execute()
  const request = { raw: true, output: false, hist_access_type: 'range', session, start, stop: start + 1 }
  expect(await store.history.query(request)).toEqual([[session, start, '6*7']])
  const search = { raw: true, output: false, hist_access_type: 'search', pattern: '1?2*' }
  expect((await store.history.query(search)).length).toBeGreaterThanOrEqual(1)
  expect(await store.history.query({ ...search, unique: true })).toHaveLength(1)
  expect(await store.history.query({ ...search, n: 3 })).toHaveLength(3)
})

test('nothing is opened until something is kept, and nothing is lost at the end', async () => {
  const store = bench.open()
  type(store, 'a')
  await store.close()
  const rows = await bench.open().history.query({ hist_access_type: 'tail' })
  expect(rows).toEqual([[1, 1, 'a']])
})
