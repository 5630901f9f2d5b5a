import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JournalBudget } from '../../../src/host/journal/budget.js'
import { KernelJournal, type JournalLimits } from '../../../src/host/journal/journal.js'
import { newLedger } from '../../../src/host/journal/ledger.js'
import type { MarkedMessage } from '../../../src/host/journal/records.js'
import { keep } from '../../../src/kernel/keeping.js'
import { Segments, type JournalFiles } from '../../../src/store/journal/segments.js'
import { FakeClock } from '../../fakes/clock.js'
import { TestKernel } from '../../support/test-kernel.js'

const LIMITS: JournalLimits = { bytesMax: 50_000, segmentBytes: 5_000, replayBytes: 1e9, replaySteps: 1e9 }

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'savepoint-journal-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

interface Opened {
  readonly journal: KernelJournal
  readonly logged: string[]
}

function open(
  limits: Partial<JournalLimits> = {},
  files: JournalFiles = fs,
  budget = new JournalBudget(Infinity),
): Opened {
  const logged: string[] = []
  const log = new Segments(join(folder, 'journal'), () => 1, files)
  const clock = new FakeClock()
  const report = (_: string, event: string): void => void logged.push(event)
  return { journal: new KernelJournal({ log, limits: { ...LIMITS, ...limits }, budget, clock, report }), logged }
}

const { state } = new TestKernel()

function begun(limits?: Partial<JournalLimits>, files?: JournalFiles, budget?: JournalBudget): Opened {
  const opened = open(limits, files, budget)
  // `starting` is said at the begin.
  opened.journal.begin(1, state.options, [message(opened.journal, 'starting', null)])
  return opened
}

function message(
  journal: KernelJournal,
  text: string,
  parent: string | null,
  mark: MarkedMessage['mark'] = 'none',
): MarkedMessage {
  const seq = journal.nextSeq()
  const frames = ['<IDS|MSG>', '', JSON.stringify({ msg_id: `s_${seq}` }), '{}', '{}', text].map((each) =>
    Buffer.from(each),
  )
  return { seq, channel: 'iopub', to: null, routing: [], topic: 'stream', frames, parent, mark }
}

function say({ journal }: Opened, text: string, parent: string | null = 'm1', mark?: MarkedMessage['mark']): number {
  const said = message(journal, text, parent, mark)
  journal.said(1, null, [said])
  return said.seq
}

function texts(messages: readonly { readonly frames: readonly Buffer[] }[]): string[] {
  return messages.map(({ frames }) => String(frames[5]))
}

function segmentFiles(): string[] {
  return fs
    .readdirSync(join(folder, 'journal'))
    .toSorted()
    .map((name) => join(folder, 'journal', name))
}

describe('messages in a journal', () => {
  test('are found by their number, by their request and by their id, also by another process', () => {
    const one = begun()
    say(one, 'busy', 'm1', 'busy')
    for (let i = 0; i < 100; i += 1) say(one, `${i} ${'x'.repeat(200)}`, i % 2 === 0 ? 'm1' : 'm2')
    const check = ({ journal }: Opened): void => {
      expect([journal.oldest, journal.newest]).toEqual([1, 102])
      expect(texts(journal.since(0, Infinity))).toHaveLength(102)
      expect(texts(journal.since(100, Infinity)).map((text) => text.slice(0, 3))).toEqual(['98 ', '99 '])
      expect(journal.since(50, 1)).toHaveLength(1)
      expect(journal.ofParent('m2').map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, i) => 4 + 2 * i))
      expect(journal.ofParent('m2', 90, 600)).toHaveLength(2)
      expect(journal.ofParent('nobody')).toEqual([])
      expect(journal.seqOf('s_77')).toBe(77)
      expect([journal.seqOf('s_103'), journal.seqOf('other_77'), journal.seqOf('odd')]).toEqual([null, null, null])
      expect(journal.running()).toEqual([{ msgId: 'm1', seq: 2 }])
    }
    check(one)
    const two = open()
    two.journal.recover()
    check(two)
    say(two, 'idle', 'm1', 'idle')
    expect(two.journal.running()).toEqual([])
    expect(two.journal.newest).toBe(103)
  })

  test('go from the oldest on when there are too many, but none that is needed to come back', () => {
    const opened = begun({ bytesMax: 12_000 })
    for (let i = 0; i < 200; i += 1) say(opened, 'x'.repeat(200))
    // All of it follows the begin.
    expect(opened.journal.oldest).toBe(1)
    const kept = keep(state)
    if (!kept) throw new Error('It cannot be kept.')
    opened.journal.state(1, kept, newLedger())
    for (let i = 0; i < 50; i += 1) say(opened, 'y'.repeat(200))
    expect(opened.journal.bytes).toBeLessThan(30_000)
    expect(opened.journal.oldest).toBeGreaterThan(100)
    expect(texts(opened.journal.since(0, 1))[0]).toMatch(/^[xy]/)
    expect(open().journal.recover()).not.toBeNull()
  })

  test('of all kernels are held within one budget', () => {
    const budget = new JournalBudget(20_000)
    const opened = begun({ bytesMax: 1e9 }, fs, budget)
    const kept = keep(state)
    for (let i = 0; i < 100; i += 1) {
      say(opened, 'x'.repeat(200))
      if (i % 20 === 0 && kept) opened.journal.state(1, kept, newLedger())
    }
    expect(budget.bytes).toBeLessThan(30_000)
    opened.journal.close()
    expect(budget.bytes).toBe(0)
  })

  test('lie in files that only the user may read', () => {
    begun()
    expect(fs.statSync(join(folder, 'journal')).mode & 0o777).toBe(0o700)
    for (const file of segmentFiles()) expect(fs.statSync(file).mode & 0o777).toBe(0o600)
  })
})

describe('a journal that is damaged', () => {
  test('is cut where a record was not written to its end', () => {
    const one = begun()
    say(one, 'whole')
    say(one, 'torn')
    const file = segmentFiles().at(-1) ?? ''
    for (const bytes of [5, 50]) {
      fs.truncateSync(file, fs.statSync(file).size - bytes)
      const two = open()
      expect(two.journal.recover()?.state.phase).toBe('starting')
      expect(two.logged).toContain('journal_cut')
    }
    const three = open()
    three.journal.recover()
    say(three, 'after')
    expect(texts(three.journal.since(0, Infinity)).at(-1)).toBe('after')
  })

  test('says so by name, and is gone on with in another segment', () => {
    const one = begun()
    for (let i = 0; i < 5; i += 1) say(one, `text ${i}`)
    const file = segmentFiles().at(-1) ?? ''
    const bytes = fs.readFileSync(file)
    bytes[bytes.length - 300] = (bytes.at(-300) ?? 0) ^ 1
    fs.writeFileSync(file, bytes)
    const two = open()
    expect(() => two.journal.recover()).toThrow(expect.objectContaining({ code: 'storage_failed' }))
    expect(two.journal.newest).toBeGreaterThanOrEqual(6)
    two.journal.begin(2, state.options, [message(two.journal, 'starting', null)])
    expect(two.journal.failure).toBeNull()
    expect(texts(two.journal.since(0, Infinity))).toEqual(expect.arrayContaining(['text 0', 'starting']))
    expect(open().journal.recover()).not.toBeNull()
  })

  test('is not gone on with by a release that knows other states', () => {
    const one = begun()
    const kept = keep(state)
    if (!kept) throw new Error('It cannot be kept.')
    one.journal.state(1, { ...kept, version: 0 }, newLedger())
    const two = open()
    expect(() => two.journal.recover()).toThrow(/another release/)
    // What was said can be read all the same.
    expect(texts(two.journal.since(0, Infinity))).toEqual(['starting'])
  })
})

/** A disk with so many bytes left; null: all that there are. */
function fullDisk(): { readonly files: JournalFiles; left: number | null } {
  const fill = (fd: number, left: number, position?: number | null): number => {
    if (left === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    disk.left = 0
    return fs.writeSync(fd, Buffer.alloc(left, 7), 0, left, position ?? null)
  }
  const disk = {
    left: null as number | null,
    files: {
      ...fs,
      writeSync(
        fd: number,
        bytes: NodeJS.ArrayBufferView,
        offset?: number | null,
        length?: number | null,
        position?: number | null,
      ) {
        if (disk.left === null) return fs.writeSync(fd, bytes, offset, length, position)
        return fill(fd, disk.left, position)
      },
      writevSync(fd: number, chunks: readonly NodeJS.ArrayBufferView[], position?: number | null) {
        if (disk.left === null) return fs.writevSync(fd, chunks, position ?? undefined)
        return fill(fd, disk.left, position)
      },
    } as unknown as JournalFiles,
  }
  return disk
}

describe('a journal that cannot be written', () => {
  test('does not keep the kernel from going on, and begins anew when there is room', () => {
    const disk = fullDisk()
    const one = begun({}, disk.files)
    say(one, 'before')
    disk.left = 20
    say(one, 'lost')
    expect(one.journal.failure).toMatchObject({ code: 'storage_failed', details: { reason: 'ENOSPC' } })
    expect(one.logged).toEqual(['journal_failed'])
    say(one, 'lost, too')
    const kept = keep(state)
    if (!kept) throw new Error('It cannot be kept.')
    one.journal.state(1, kept, newLedger())
    expect(one.journal.failure).not.toBeNull()
    disk.left = null
    one.journal.state(1, kept, newLedger())
    expect(one.journal.failure).toBeNull()
    expect(say(one, 'after')).toBe(5)
    expect(texts(one.journal.since(0, Infinity))).toEqual(['starting', 'before', 'after'])
    const two = open()
    expect(two.journal.recover()?.state.phase).toBe('idle')
    expect(texts(two.journal.since(0, Infinity))).toEqual(['starting', 'before', 'after'])
    expect(two.journal.newest).toBe(5)
  })
})

test('what was said before a state counts although replay begins there: no number is given twice', () => {
  const one = begun()
  say(one, 'a')
  const newest = say(one, 'b')
  const kept = keep(state)
  if (!kept) throw new Error('A new kernel can be kept.')
  one.journal.state(1, kept, newLedger())
  one.journal.close()
  const two = open()
  two.journal.recover()
  expect(two.journal.newest).toBe(newest)
  expect(texts(two.journal.since(newest - 2, Infinity))).toEqual(['a', 'b'])
  expect(say(two, 'c')).toBe(newest + 1)
  two.journal.close()
})
