import { judge, type Look, type Sample } from '../../../src/worker/limits/culprit.js'

const MIB = 1_048_576
const MOST = 384
/** Faults of a process that has written as much as it holds, in small pages. */
const WRITTEN = 256

interface Seen {
  readonly mib: number
  /** Since the look before; else as many as it takes to have grown so. null: the system does not count them. */
  readonly faults?: number | null
  readonly isTakenUp?: boolean
  readonly pid?: number
}

/** A number is MiB of one that alone has written to its memory. */
type Row = Readonly<Record<string, number | Seen>>

/** A user's kernels, look by look. */
function looksAt(...rows: Row[]): Look[] {
  const faults = new Map<string, number>()
  const held = new Map<string, number>()
  const looks = rows.map((row): Look => {
    const look = new Map<string, Sample>()
    for (const [id, each] of Object.entries(row)) {
      const { mib, isTakenUp = false, pid = 1, ...seen } = typeof each === 'number' ? { mib: each } : each
      const had = faults.get(`${id} ${pid}`) ?? (seen.faults === null ? 0 : 1_000)
      const fresh = 'faults' in seen ? (seen.faults ?? 0) : Math.max(0, mib - (held.get(id) ?? 0)) * WRITTEN
      faults.set(`${id} ${pid}`, had + fresh)
      held.set(id, mib)
      look.set(id, {
        bytes: mib * MIB,
        faults: new Map([[pid, { before: had + fresh, after: had + fresh }]]),
        isTakenUp,
      })
    }
    return look
  })
  return [new Map(), ...looks]
}

const judged = (...looks: Row[]): unknown => judge(looksAt(...looks), MOST * MIB)

describe('of a user who has more memory than he may, the kernel is ended that', () => {
  test('grew, whatever the others hold', () => {
    expect(judge([], MOST * MIB)).toBe('fits')
    expect(judged({ a: 320, b: 60 })).toBe('fits')
    expect(judged({ a: 320, b: 60 }, { a: 320, b: 200 })).toEqual({ end: 'b' })
    expect(judged({ a: 100, b: 60 }, { a: 100, b: 60 }, { a: 300, b: 60 })).toBe('fits')
    expect(judged({ a: 100, b: 60 }, { a: 100, b: 61 }, { a: 400, b: 60 })).toEqual({ end: 'a' })
    expect(judged({ a: 400 })).toEqual({ end: 'a' })
  })

  test('alone can have gone beyond the limit with its last bytes', () => {
    // Both grew between two looks. Without the last of b it would still have been too much.
    expect(judged({ a: 60, b: 60 }, { a: 400, b: 80 })).toEqual({ end: 'a' })
    expect(judged({ a: 220, b: 1_000 })).toEqual({ end: 'b' })
  })

  test('still grows, if several may have been it', () => {
    const before = [
      { a: 60, b: 60 },
      { a: 220, b: 180 },
    ]
    expect(judged(...before)).toBe('again')
    expect(judged(...before, { a: 220, b: 220 })).toEqual({ end: 'b' })
    expect(judged(...before, { a: 220.5, b: 180 })).toBe('again')
    expect(judged(...before, { a: 220.5, b: 180 }, { a: 220.5, b: 200 })).toEqual({ end: 'b' })
    // One that began only then had no part in it.
    expect(judged(...before, { a: 220, b: 180, c: 60 })).toBe('again')
    expect(judged(...before, { a: 220, b: 190, c: 60 })).toEqual({ end: 'b' })
    // The same at the first look of all.
    expect(judged({ a: 220, b: 180 })).toBe('again')
    expect(judged({ a: 220, b: 180 }, { a: 220, b: 230 })).toEqual({ end: 'b' })
    // Neither alone was too much.
    const both = [
      { a: 190, b: 190 },
      { a: 235, b: 230 },
    ]
    expect(judged(...both)).toBe('again')
    expect(judged(...both, { a: 235, b: 240 })).toEqual({ end: 'b' })
  })

  test('grew most, if none of them grows any further', () => {
    const rests = { a: 220, b: 180 }
    expect(judged({ a: 60, b: 60 }, rests, rests, rests)).toBe('again')
    expect(judged({ a: 60, b: 60 }, rests, rests, rests, rests)).toEqual({ end: 'a' })
    // The other one has gone by itself, and it is too much still.
    expect(judged({ a: 60, b: 60 }, { a: 390, b: 400 }, { a: 390 }, { a: 390 }, { a: 390 })).toEqual({ end: 'a' })
  })

  test('grew, and not one whose share is larger since somebody else has gone', () => {
    const idle = (mib: number): Seen => ({ mib, faults: 0 })
    // b and c shared 200 MiB with a, which has ended; d takes 50.
    const shared = { a: 70, b: idle(67), c: idle(67), d: 150 }
    expect(judged(shared, { b: idle(100), c: idle(100), d: 200 })).toEqual({ end: 'd' })
    // a shares nothing any more with another user's kernel: nobody has grown.
    expect(judged({ a: 190, b: 190 }, { a: idle(380), b: idle(190) })).toBe('nobody')
    expect(judged({ a: 190, b: 190 }, { a: idle(380), b: idle(190) }, { a: idle(380), b: 195 })).toEqual({ end: 'b' })
  })

  test('wrote to what was shared, and not the one that it was shared with', () => {
    // A fork of a writes to all of its 150 MiB: the shares of both grow alike.
    expect(judged({ a: 150, b: 150 }, { a: { mib: 225, faults: 3 }, b: 225 })).toEqual({ end: 'b' })
    const writes = { mib: 225, faults: 150 * WRITTEN }
    expect(judged({ a: 150, b: 150 }, { a: { mib: 225, faults: 0 }, b: writes })).toEqual({ end: 'b' })
  })

  test('grew in a process that is new', () => {
    const child = { mib: 300, pid: 7, faults: 200 * WRITTEN }
    expect(judged({ a: 100, b: 100 }, { a: { mib: 110, faults: 5 }, b: child })).toEqual({ end: 'b' })
  })

  test('grew before our eyes, and not one that another gateway let grow', () => {
    const old = (mib: number): Seen => ({ mib, isTakenUp: true })
    expect(judged({ a: old(300), b: old(200) })).toBe('nobody')
    expect(judged({ a: old(300), b: old(200) }, { a: old(300), b: old(200) })).toBe('nobody')
    expect(judged({ a: old(300), b: old(200) }, { a: old(300), b: old(210) })).toEqual({ end: 'b' })
    expect(judged({ a: 60 }, { a: 65, b: old(340) })).toBe('nobody')
    expect(judged({ a: 60 }, { a: 65, b: old(340) }, { a: 65, b: old(350) })).toEqual({ end: 'b' })
  })

  test('grew after the one that was ended before', () => {
    const after = looksAt({ a: 500, b: 60 }, { a: 300, b: 60 }, { a: 100, b: 60 }, { a: 100, b: 300 }).slice(2)
    expect(judge(after.slice(0, 2), MOST * MIB)).toBe('fits')
    expect(judge(after, MOST * MIB)).toEqual({ end: 'b' })
    // What was ended holds its memory for a while.
    const slow = looksAt({ a: 500, b: 60 }, { a: 490, b: 60 }, { a: 400, b: 60 }).slice(1)
    expect(judge(slow, MOST * MIB)).toBe('nobody')
  })

  test('grew, where the system counts no page faults', () => {
    const uncounted = (mib: number): Seen => ({ mib, faults: null })
    const looks = looksAt({ a: uncounted(200), b: uncounted(100) }, { a: uncounted(200), b: uncounted(300) })
    expect(judge(looks, MOST * MIB)).toEqual({ end: 'b' })
  })

  test('grows little by little', () => {
    const creeping = Array.from({ length: 12 }, (_, i) => ({ a: 190 + (i % 2) / 100, b: 183 + i }))
    expect(judged(...creeping)).toBe('again')
    expect(judged(...creeping, { a: 190, b: 195 })).toEqual({ end: 'b' })
  })
})
