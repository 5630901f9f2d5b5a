import {
  familyOf,
  measure,
  parseStat,
  zygotesOf,
  takeCensus,
  type Proportions,
  type Resident,
} from '../../../src/worker/limits/census.js'

describe('a census', () => {
  test('reads processes whatever they are called', () => {
    const line = `42 (a) b (c) S 7 42 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 99 1000 250 18446744073709551615`
    expect(parseStat(line)).toEqual({
      pid: 42,
      parent: 7,
      session: 40,
      threads: 3,
      residentBytes: 250 * 4096,
      faults: 4,
    })
    expect(parseStat(line.replace(' S ', ' Z '))).toBeNull()
    expect(parseStat('')).toBeNull()
  })

  test('finds what a worker has started, also what has lost its parent, and nothing else', () => {
    const at = (pid: number, parent: number, session: number): [number, Resident] => [
      pid,
      { pid, parent, session, threads: 1, residentBytes: 0, faults: 0 },
    ]
    const census = new Map([
      at(10, 1, 10),
      at(11, 10, 10),
      at(12, 11, 12),
      at(13, 1, 10),
      at(20, 1, 20),
      at(21, 20, 20),
    ])
    const pids = familyOf(census, new Set([10])).map(({ pid }) => pid)
    expect(pids.toSorted((a, b) => a - b)).toEqual([10, 11, 12, 13])
  })

  test('holds this process', async () => {
    expect((await takeCensus()).get(process.pid)).toMatchObject({ parent: process.ppid })
  })

  const resident = (pid: number, parent: number): Resident => ({
    ...{ pid, parent, session: pid, threads: 1, residentBytes: 0, faults: 0 },
  })
  const says = (...said: Proportions[]) => ({
    said,
    look: async (): Promise<Proportions> => said.shift() ?? { bytes: 0, privateBytes: 0 },
  })
  const all = (bytes: number): Proportions => ({ bytes, privateBytes: bytes })

  test('does not count memory twice that a worker frees, while processes are measured, and its copy keeps', async () => {
    // Of 180 that they shared, the worker has nothing any more when the copy's turn comes.
    const { said, look } = says(all(90), all(180), all(0), all(180))
    expect((await measure([resident(10, 1), resident(11, 10)], [], 256, look)).bytes).toBe(180)
    expect(said).toEqual([])
  })

  test('counts what is far from the limit once', async () => {
    const { said, look } = says(all(90), all(7))
    expect((await measure([resident(10, 1)], [], 256, look)).bytes).toBe(90)
    expect(said).toHaveLength(1)
  })

  test('leaves out what is shared with the process that started the others', async () => {
    const zygote = resident(5, 2)
    const family = [resident(10, 5), resident(11, 10), resident(12, 10)]
    const census = new Map([zygote, resident(1, 0), ...family].map((each) => [each.pid, each]))
    expect(zygotesOf(census, family)).toEqual([zygote])
    expect(zygotesOf(census, [resident(10, 1)])).toEqual([])
    // The zygote shares 12 of its 15; the third process is another program, and shares next to nothing.
    const [worker, copy, other] = [10, 4, 60].map((own, at) => ({ bytes: own + (at < 2 ? 14 : 1), privateBytes: own }))
    if (!worker || !copy || !other) throw new Error('There are three.')
    const { look } = says({ bytes: 15, privateBytes: 3 }, worker, copy, other)
    expect((await measure(family, [zygote], 256, look)).bytes).toBe(12 + 6 + 60)
  })
})
