import { Turns } from '../../src/worker/turns.js'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Work of `count` pieces, each of which takes longer than a turn may. */
function heavy(name: string, count: number, done: string[]): () => boolean {
  let left = count
  return () => {
    for (const end = performance.now() + 3; performance.now() < end;);
    done.push(name)
    left -= 1
    return left > 0
  }
}

describe('turns', () => {
  test('does at once what is done with one piece', () => {
    const done: string[] = []
    expect(new Turns().do(heavy('a', 1, done))).toBe(true)
    expect(done).toEqual(['a'])
  })

  test('lets others have their turn before it goes on', async () => {
    const turns = new Turns()
    const done: string[] = []
    expect(turns.do(heavy('a', 3, done))).toBe(false)
    expect(done).toEqual(['a'])
    while (done.length < 3) {
      const before = done.length
      await nextTurn()
      expect(done.length - before).toBeLessThanOrEqual(1)
    }
  })

  test('takes connections in turn, so that a busy one does not keep out a quiet one', async () => {
    const turns = new Turns()
    const done: string[] = []
    turns.do(heavy('a', 4, done))
    expect(turns.do(heavy('b', 1, done))).toBe(false)
    turns.do(heavy('c', 2, done))
    while (done.length < 7) await nextTurn()
    expect(done).toEqual(['a', 'a', 'b', 'c', 'a', 'c', 'a'])
  })

  test('begins anew after it was idle', async () => {
    const turns = new Turns()
    const done: string[] = []
    turns.do(heavy('a', 2, done))
    while (done.length < 2) await nextTurn()
    await nextTurn()
    turns.do(heavy('b', 2, done))
    while (done.length < 4) await nextTurn()
    expect(done).toEqual(['a', 'a', 'b', 'b'])
  })
})
