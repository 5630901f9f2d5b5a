import { keepAllWithin, type Holder } from '../../../src/host/kernels/snapshot-budget.js'

describe('what the copies of all kernels may hold together', () => {
  const trimmed: [string, number][] = []
  const holder = (name: string, bytes: number, lastActivity: number): Holder => ({
    bytes,
    lastActivity,
    trim: (bytesMax) => trimmed.push([name, bytesMax]),
  })
  beforeEach(() => {
    trimmed.length = 0
  })

  test('is left alone as long as it is within the budget', () => {
    expect(keepAllWithin([holder('a', 60, 1), holder('b', 40, 2)], 100)).toBe(0)
    expect(trimmed).toEqual([])
  })

  test('is taken from those that have rested for the longest time, and no more than is too much', () => {
    const holders = [holder('busy', 50, 30), holder('oldest', 40, 10), holder('empty', 0, 5), holder('older', 60, 20)]
    expect(keepAllWithin(holders, 90)).toBe(2)
    expect(trimmed).toEqual([
      ['oldest', 0],
      ['older', 40],
    ])
  })

  test('may be nothing at all', () => {
    expect(keepAllWithin([holder('a', 1, 1), holder('b', 2, 2)], 0)).toBe(2)
    expect(trimmed).toEqual([
      ['a', 0],
      ['b', 0],
    ])
  })
})
