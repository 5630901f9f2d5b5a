import { keepAllWithin, type Holder } from '../../../src/host/kernels/snapshot-budget.js'

describe('what the copies of all kernels may hold together', () => {
  /** A kernel with so many moments of 10 bytes each. */
  class Kernel implements Holder {
    moments: number
    readonly lastActivity: number
    constructor(moments: number, lastActivity: number) {
      this.moments = moments
      this.lastActivity = lastActivity
    }
    bytes(): number {
      return this.moments * 10
    }
    trim(bytesMax: number, momentsMin: number): void {
      while (this.bytes() > bytesMax && this.moments > momentsMin) this.moments -= 1
    }
  }
  const left = (kernels: readonly Kernel[]): number[] => kernels.map(({ moments }) => moments)

  test('is left alone as long as it is within the budget', () => {
    const kernels = [new Kernel(6, 1), new Kernel(4, 2)]
    expect(keepAllWithin(kernels, 100)).toBe(0)
    expect(left(kernels)).toEqual([6, 4])
  })

  test('is taken from those that have rested for the longest time, and no more than is too much', () => {
    const kernels = [new Kernel(5, 30), new Kernel(4, 10), new Kernel(0, 5), new Kernel(6, 20)]
    expect(keepAllWithin(kernels, 105)).toBe(2)
    expect(left(kernels)).toEqual([5, 2, 0, 3])
  })

  test('leaves each the way back over one cell while others have more', () => {
    const kernels = [new Kernel(10, 1), new Kernel(10, 2), new Kernel(10, 3)]
    expect(keepAllWithin(kernels, 70)).toBe(3)
    expect(left(kernels)).toEqual([2, 2, 3])
  })

  test('leaves each its present while others have something to undo', () => {
    const kernels = [new Kernel(10, 1), new Kernel(10, 2), new Kernel(1, 3)]
    expect(keepAllWithin(kernels, 40)).toBe(2)
    expect(left(kernels)).toEqual([1, 2, 1])
  })

  test('may be nothing at all', () => {
    const kernels = [new Kernel(1, 1), new Kernel(3, 2)]
    expect(keepAllWithin(kernels, 0)).toBe(2)
    expect(left(kernels)).toEqual([0, 0])
  })
})
