/**
 * Seeded disorder once more, with a journal: cut at every event, replay leads to the same state, and whatever happens
 * then has the same effects. A failure names its seed; SEED=n runs that one alone, SEEDS=n so many.
 */

import { deserialize, serialize } from 'node:v8'
import { isDeepStrictEqual } from 'node:util'
import { JournalBudget } from '../../../src/host/journal/budget.js'
import { KernelJournal } from '../../../src/host/journal/journal.js'
import { newLedger, type Ledger } from '../../../src/host/journal/ledger.js'
import { MemorySegments } from '../../../src/host/journal/memory-segments.js'
import { Recorder } from '../../../src/host/journal/recorder.js'
import { decodeRecord } from '../../../src/host/journal/records.js'
import { Replay } from '../../../src/host/journal/replay.js'
import { Outlet } from '../../../src/host/outlet.js'
import type { Effect, KernelEvent } from '../../../src/kernel/effects.js'
import type { KernelOptions, KernelState } from '../../../src/kernel/state.js'
import { start } from '../../../src/kernel/step.js'
import { FakeClock } from '../../fakes/clock.js'
import { Disorder, type Policy } from '../../fakes/disorder.js'
import { Random } from '../../fakes/random.js'

const SEEDS =
  process.env['SEED'] === undefined
    ? Array.from({ length: Number(process.env['SEEDS'] ?? 12) }, (_, i) => i)
    : [Number(process.env['SEED'])]
const STEPS = 300
const LIMITS = { bytesMax: 1e9, segmentBytes: 20_000, replayBytes: 1e9, replaySteps: 1e9 }

/** Of the same realm as what was read from a journal, and without what cannot be written down. */
function plain(value: unknown): unknown {
  return deserialize(serialize(value))
}

function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(plain(one), plain(other))
}

/** What has to be the same. `now` is that of the latest event, and not each of them is a step in the journal. */
function picture({ waiters, ...state }: KernelState, ledger: Ledger): object {
  return { ...state, now: null, waits: [...waiters.keys()], ledger }
}

class Journaled implements Policy {
  readonly state: KernelState
  readonly effects: readonly Effect[]
  kept = 0
  /** Waits that were kept, by the first word of their key. */
  readonly keptWaits = new Set<string>()
  readonly #segments = new MemorySegments(() => 1)
  readonly #clock = new FakeClock()
  readonly #ledger = newLedger()
  readonly #recorder: Recorder
  readonly #random: Random
  readonly #replay = new Replay()
  #now: number
  #read = { segment: 0, offset: 0 }
  #frame = 0

  constructor(seed: number, options: KernelOptions, now: number) {
    this.#now = now
    this.#random = new Random(seed + 1_000)
    const { state, effects } = start(options, now)
    this.state = state
    this.effects = effects
    const clock = this.#clock
    const journal = this.#journal()
    const outlet: Outlet = new Outlet({
      clients: { publish: () => {}, reply: () => {} },
      clock,
      signer: () => null,
      session: options.session,
      pacing: { intervalMs: 5, firstMs: 2, bytesMax: 1_000 },
      holdMs: 2,
      nextSeq: () => journal.nextSeq(),
      onText: (message) => this.#recorder.said(message),
    })
    const parts = { journal, outlet, state, ledger: this.#ledger, workers: {}, clock, now: () => this.#now }
    this.#recorder = new Recorder(parts)
    this.#compare(this.#recorder.begin(options, effects).effects)
  }

  take(event: KernelEvent, now: number): readonly Effect[] {
    this.#now = now
    this.#clock.advance(1)
    const { effects } = this.#recorder.take(this.#numbered(event))
    this.#compare(effects)
    if (this.#random.chance(0.2) && this.#recorder.keepState()) {
      this.kept += 1
      for (const key of this.state.waiters.keys()) this.keptWaits.add(key.split(/[ :]/)[0] ?? '')
      this.#compare([])
    }
    if (this.#random.chance(0.005)) this.recover()
    return effects
  }

  /** As another process would, from what is in the segments. */
  recover(): void {
    const recovered = this.#journal().recover()
    if (!recovered) throw new Error('nothing was recovered')
    this.#same(picture(recovered.state, recovered.ledger), 'recovered')
  }

  #journal(): KernelJournal {
    const budget = new JournalBudget(Infinity)
    return new KernelJournal({ log: this.#segments, limits: LIMITS, budget, clock: this.#clock, report: () => {} })
  }

  /** Frames of a worker are counted from its first one. */
  #numbered(event: KernelEvent): KernelEvent {
    return event.on === 'worker' ? { ...event, frame: (this.#frame += 1) } : event
  }

  /** Takes in what has been written since, and compares. */
  #compare(effects: readonly Effect[]): void {
    const followed: Effect[] = []
    for (const { number } of this.#segments.segments) {
      if (number < this.#read.segment) continue
      const from = number === this.#read.segment ? this.#read.offset : 0
      for (const { place, payload } of this.#segments.scan(number, from)) {
        followed.push(...this.#replay.take(decodeRecord(payload)))
        this.#read = { segment: number, offset: place.end }
      }
    }
    // What is displayed is no step.
    if (followed.length > 0 && !isSame(followed, effects)) throw new Error('other effects follow')
    const { recovered } = this.#replay
    if (recovered) this.#same(picture(recovered.state, recovered.ledger), 'replayed')
  }

  #same(there: object, how: string): void {
    const here = picture(this.state, this.#ledger)
    if (isSame(here, there)) return
    const differing = Object.entries(here).filter(
      ([key, value]) => !isSame(value, (there as Record<string, unknown>)[key]),
    )
    const said = differing.map(([key, value]) => {
      const other = (there as Record<string, unknown>)[key]
      return `${key}: ${JSON.stringify(value).slice(0, 600)}\n    ${how}: ${JSON.stringify(other).slice(0, 600)}`
    })
    throw new Error(`It is not as it was:\n  ${said.join('\n  ')}`)
  }
}

function live(seed: number): Journaled {
  let policy: Journaled | null = null
  const world = { trace: [] as readonly string[] }
  try {
    const disorder = new Disorder(seed, (options, now) => (policy = new Journaled(seed, options, now)))
    world.trace = disorder.trace
    for (let i = 0; i < STEPS && disorder.exit === null; i += 1) disorder.happen()
    disorder.calm()
    if (!policy) throw new Error('nothing was begun')
    ;(policy as Journaled).recover()
    return policy
  } catch (error) {
    const last = world.trace.slice(-15).join('\n  ')
    throw new Error(`Seed ${seed}, after ${world.trace.length} events: ${String(error)}\n  ${last}`, { cause: error })
  }
}

test('a kernel that is replayed is what it was, and does what it would have done', () => {
  const worlds = SEEDS.map(live)
  const sum = (of: (world: Journaled) => number): number => worlds.reduce((total, each) => total + of(each), 0)
  // Where a state could hardly ever be written, nothing would be shown of it.
  expect(sum(({ kept }) => kept)).toBeGreaterThan(SEEDS.length * 5)
  const waits = new Set(worlds.flatMap(({ keptWaits }) => [...keptWaits]))
  if (SEEDS.length > 1) expect([...waits]).toEqual(expect.arrayContaining(['auto_interval', 'auto_idle', 'cell']))
})
