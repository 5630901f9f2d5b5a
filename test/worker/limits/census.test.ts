import { familyOf, measure, parseStat, takeCensus, type Resident } from '../../../src/worker/limits/census.js'

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

  test('does not count memory twice that a worker frees, while processes are measured, and its copy keeps', async () => {
    const family = [10, 11].map((pid) => ({ pid, parent: 1, session: 10, threads: 1, residentBytes: 0, faults: 0 }))
    // Of 180 that they shared, the worker has nothing any more when the copy's turn comes.
    const said: number[] = [90, 180, 0, 180]
    const bytesOf = async (): Promise<number> => said.shift() ?? 0
    expect((await measure(family, 256, bytesOf)).bytes).toBe(180)
    expect(said).toEqual([])
  })

  test('counts what is far from the limit once', async () => {
    const family = [{ pid: 10, parent: 1, session: 10, threads: 1, residentBytes: 0, faults: 0 }]
    const said: number[] = [90, 7]
    expect((await measure(family, 256, async () => said.shift() ?? 0)).bytes).toBe(90)
    expect(said).toEqual([7])
  })
})
