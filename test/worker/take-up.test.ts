import { mkdtempSync, openSync, readFileSync, rmSync, writeSync, closeSync, constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Envelope, Hello, WorkerCommand, ZygoteCommand } from '../../src/link/protocol.js'
import type { Backing, Resident } from '../../src/worker/backing.js'
import type { Connection, ConnectionHandlers } from '../../src/worker/connection.js'
import { listenerTo, type PythonEvent } from '../../src/worker/events.js'
import { makeFifos, markOf } from '../../src/worker/fifo.js'
import type { Findings, Outstanding, Placement, WorkerMemory } from '../../src/worker/memory.js'
import { seatIn } from '../../src/worker/seat.js'
import { Workers } from '../../src/worker/workers.js'
import { FakeClock } from '../fakes/clock.js'

/** No process has it. */
const PID = 2 ** 22 + 7
const TOKEN = 'of the process'

const folder = mkdtempSync(join(tmpdir(), 'savepoint-take-up-'))
const seat = seatIn(folder, 'w1')
const next = seatIn(folder, 'w2')
beforeAll(async () => await makeFifos(seat.stdout, seat.stderr, next.stdout, next.stderr))
afterAll(() => rmSync(folder, { recursive: true }))

const placement: Placement = { generation: 3, token: TOKEN, pid: PID, ...seat, mark: '<mark>', zygote: 9 }
const current = { generation: 3, token: 'of the kernel', pid: PID, frames: 5 }
const nothing = { commands: [], outstanding: [], snapshots: [], held: [], cell: 0 }
const memory: WorkerMemory = { placements: [placement], current, ...nothing }
const living: Findings = {
  claimed: ['w1'],
  places: [{ kernel: 'w1', workers: [{ pid: PID, token: TOKEN }], snapshots: [] }],
  deaths: [],
}
const without = (found: Partial<Findings> = {}): Findings => ({ claimed: ['w1'], places: [], deaths: [], ...found })

let stage: Stage
afterEach(() => stage.workers.abandon())

class Stage {
  readonly clock = new FakeClock()
  readonly events: PythonEvent[] = []
  /** What the zygote was told. */
  readonly told: ZygoteCommand[] = []
  readonly workers: Workers
  begun = 0

  constructor(found: Findings | 'nothing' | null) {
    const backing: Backing = {
      start: async (workers: Resident) => {
        this.begun += 1
        await Promise.resolve()
        workers.zygoteReady(Buffer.from('{}'))
      },
      takeUp: async () => await Promise.resolve(found),
      zygote: 9,
      place: () => seatIn(folder, 'w2'),
      tell: (command) => void this.told.push(command),
      stop: () => {},
      abandon: () => {},
    }
    const limits = {
      deathMs: 500,
      redialMs: 2_000,
      ringMs: 500,
      writerDialMs: 1,
      interruptRepeatMs: 9,
      interruptsMax: 1,
    }
    this.workers = new Workers(
      { cwd: null, workerEnvironment: {}, orphanMs: 10_000, clock: this.clock, log: () => {}, limits },
      backing,
      listenerTo((event) => void this.events.push(event)),
    )
  }

  static async takeUp(given: Partial<WorkerMemory> = {}, found: Findings | 'nothing' | null = living): Promise<Stage> {
    stage = new Stage(found)
    void stage.workers.takeUp({ ...memory, ...given })
    await new Promise(setImmediate)
    return stage
  }

  /** Of the worker that comes back. */
  dial(given: Partial<Hello> = {}): Link {
    const link = new Link()
    const hello: Hello = { kind: 'hello', role: 'worker', kernel: 'w1', token: TOKEN, pid: PID, ...given }
    link.admission = this.workers.admit(hello, (handlers) => link.connect(handlers))
    return link
  }

  /** Texts, and the requests that were answered. */
  heard(): (string | number)[] {
    return this.events.flatMap((event): (string | number)[] => {
      if (event.on === 'output') return event.text.length > 0 ? [event.text.toString()] : []
      return event.on === 'worker' && event.event.kind === 'reply' ? [event.event.seq] : []
    })
  }

  on<O extends PythonEvent['on']>(on: O): Extract<PythonEvent, { readonly on: O }>[] {
    return this.events.filter((event): event is Extract<PythonEvent, { readonly on: O }> => event.on === on)
  }
}

class Link {
  readonly sent: Envelope[] = []
  admission: unknown = null
  #handlers: ConnectionHandlers | null = null

  connect(handlers: ConnectionHandlers): Connection {
    this.#handlers = handlers
    const nothing = (): void => {}
    return {
      send: (envelope) => void this.sent.push(envelope),
      together: (work) => work(),
      pause: nothing,
      resume: nothing,
      close: () => handlers.onClose(),
    }
  }

  says(envelope: Envelope, ...parts: Buffer[]): void {
    this.#handlers?.onFrame({ envelope, parts })
  }

  breaks(): void {
    this.#handlers?.onClose()
  }
}

const stream = (name = 'stdout'): Envelope => ({ kind: 'stream', name, parent: null }) as Envelope
const taken = (snapshot: string): Envelope => ({ kind: 'taken', snapshot, pid: 1, ms: 1 }) as Envelope
const numbered = (n: number): WorkerCommand => ({ kind: 'forget', snapshot: 's', n }) as unknown as WorkerCommand

describe('a worker that outlived its gateway', () => {
  test('gets the commands that it lacks, and what it says again counts once', async () => {
    const commands = [3, 4].map((n) => ({ command: numbered(n), parts: [] }))
    await Stage.takeUp({ commands })
    stage.workers.command(numbered(5), [])
    const link = stage.dial({ resumed: { generation: 3, sent: 7, got: 3 } })
    expect(link.sent).toEqual([{ kind: 'resume', frames: 5 }, numbered(4), numbered(5)])
    link.says(stream(), Buffer.from('six'))
    link.says(stream(), Buffer.from('seven'))
    expect(stage.on('worker').map(({ generation, frame }) => [generation, frame])).toEqual([
      [3, 6],
      [3, 7],
    ])
    // Nobody is told once more that it is there.
    expect([stage.on('worker_up'), stage.on('placed')]).toEqual([[], []])
    stage.workers.durable(3, 7)
    stage.workers.command(numbered(6), [])
    expect(link.sent.slice(-2)).toEqual([{ kind: 'ack', frames: 7 }, numbered(6)])
  })

  test('may lose its connection once more, and has a while to come back', async () => {
    await Stage.takeUp()
    stage.dial({ resumed: { generation: 3, sent: 5, got: 0 } }).breaks()
    stage.clock.advance(1_000)
    const again = stage.dial({ resumed: { generation: 3, sent: 5, got: 0 } })
    expect([again.admission, again.sent]).toEqual([true, [{ kind: 'resume', frames: 5 }]])
    again.breaks()
    stage.clock.advance(2_000)
    expect(stage.told).toEqual([{ kind: 'kill', pid: PID, signal: 9 }])
  })

  test('is not taken in with another token, pid or generation, nor with less than what it has said', async () => {
    await Stage.takeUp()
    const resumed = { generation: 3, sent: 5, got: 0 }
    const admissions = [
      { token: 'another', resumed },
      { pid: PID + 1, resumed },
      { resumed: { ...resumed, generation: 2 } },
      { resumed: { ...resumed, sent: 4 } },
      {},
    ].map((given) => stage.dial(given).admission)
    expect(admissions).toEqual([false, false, false, false, false])
  })

  test('has to dial again until it is known what there is', async () => {
    stage = new Stage(living)
    void stage.workers.takeUp(memory)
    expect(stage.dial({ resumed: { generation: 3, sent: 5, got: 0 } }).admission).toBe('later')
    await new Promise(setImmediate)
    expect(stage.dial({ resumed: { generation: 3, sent: 5, got: 0 } }).admission).toBe(true)
  })

  test('is interrupted when it is back, and not before: its pid may be somebody else’s', async () => {
    await Stage.takeUp({ outstanding: [{ do: 'interrupt', pid: PID, seq: 4 }] })
    stage.workers.interrupt(PID, 8)
    const noted = (): string => readFileSync(seat.interrupts, 'utf8')
    const link = stage.dial({ resumed: { generation: 3, sent: 6, got: 0 } })
    expect(noted).toThrow()
    link.says(stream(), Buffer.from('six'))
    expect(noted().trim().split(/ +/).slice(0, 2)).toEqual(['1', '1'])
    expect(noted()).toMatch(/ 8\n/)
  })

  test('is not interrupted if it says that it was', async () => {
    rmSync(seat.interrupts, { force: true })
    await Stage.takeUp({ outstanding: [{ do: 'interrupt', pid: PID, seq: 4 }] })
    stage.dial({ resumed: { generation: 3, sent: 6, got: 0 } }).says({ kind: 'interrupted' })
    expect(() => readFileSync(seat.interrupts, 'utf8')).toThrow()
  })

  test('is given up when it does not come back for long', async () => {
    await Stage.takeUp()
    stage.clock.advance(10_000)
    expect(stage.told).toEqual([])
    stage.clock.advance(1_000)
    expect(stage.told).toEqual([{ kind: 'kill', pid: PID, signal: 9 }])
    stage.workers.died(PID, { code: null, signal: { name: 'SIGKILL', number: 9 } })
    expect(stage.on('worker_died')[0]?.cause.why).toContain('did not come back')
  })

  test('left in its pipes what nobody read', async () => {
    const end = openSync(seat.stdout, constants.O_RDWR)
    writeSync(end, 'written meanwhile')
    await Stage.takeUp()
    const link = stage.dial({ resumed: { generation: 3, sent: 6, got: 0 } })
    link.says({ kind: 'reply', seq: 1, status: 'ok' } as Envelope, Buffer.from('{}'), Buffer.from('{}'))
    expect(stage.events.map(({ on }) => on)).toEqual(['output', 'worker'])
    closeSync(end)
  })

  test('has what was read of its pipes and not told, and what it printed since, told in its turn', async () => {
    const end = openSync(seat.stdout, constants.O_RDWR)
    const pieces = [{ seq: 7, bytes: Buffer.from('read before, ') }]
    writeSync(end, `written meanwhile, ${markOf('<mark>', 8)}ahead`)
    await Stage.takeUp({ held: [{ place: 'w1', name: 'stdout', pieces }], cell: 6 })
    const link = stage.dial({ resumed: { generation: 3, sent: 7, got: 0 } })
    const says = (given: object): void =>
      link.says({ kind: 'reply', status: 'ok', ...given } as Envelope, Buffer.from('{}'), Buffer.from('{}'))
    expect(stage.heard()).toEqual([])
    says({ seq: 6, begins: 7 })
    expect(stage.heard()).toEqual([6, 'read before, '])
    says({ seq: 7, begins: 8 })
    expect(stage.heard()).toEqual([6, 'read before, ', 'written meanwhile, ', 7, 'ahead'])
    // What is told is held no longer.
    expect(stage.on('output').at(-1)?.held?.pieces ?? []).toEqual([])
    closeSync(end)
  })

  test('runs a cell of which nothing has to be held: the reply before was served by the gateway that is gone', async () => {
    const end = openSync(seat.stdout, constants.O_RDWR)
    writeSync(end, `${markOf('<mark>', 7)}at once`)
    await Stage.takeUp({ cell: 7 })
    while (stage.heard().length === 0) await new Promise(setImmediate)
    expect(stage.heard()).toEqual(['at once'])
    closeSync(end)
  })
})

describe('a worker that is not there any more', () => {
  test('has died as the zygote remembers', async () => {
    const deaths = [{ kernel: 'w1', token: TOKEN, pid: PID, code: null, signal: 11 }]
    await Stage.takeUp({}, without({ deaths }))
    expect(stage.on('worker_died')).toEqual([
      { on: 'worker_died', generation: 3, cause: { code: null, signal: { name: 'SIGSEGV', number: 11 } } },
    ])
  })

  test('had not heard of its lease: another one is told what it was told, and nobody hears of it', async () => {
    const deaths = [{ kernel: 'w1', token: TOKEN, pid: PID, code: 70, signal: null }]
    const commands = [1, 2].map((n) => ({ command: numbered(n), parts: [] }))
    await Stage.takeUp({ commands, current: { ...current, frames: 0 } }, without({ deaths }))
    expect(stage.told).toMatchObject([{ kind: 'fork', kernel: 'w2', token: 'of the kernel' }])
    stage.workers.command(numbered(3), [])
    const link = stage.dial({ token: 'of the kernel', pid: PID + 1, kernel: 'w2' })
    expect(link.sent).toEqual([1, 2, 3].map(numbered))
    expect(stage.events.map(({ on }) => on)).toEqual(['placed', 'worker_up'])
  })

  test('leaves what was read of its pipes and not told: it is told now', async () => {
    const pieces = [
      { seq: 7, bytes: Buffer.from('one ') },
      { seq: 8, bytes: Buffer.from('two') },
    ]
    for (const found of [without({ claimed: [] }), null]) {
      await Stage.takeUp({ held: [{ place: 'w1', name: 'stderr', pieces }] }, found)
      const held = { place: 'w1', name: 'stderr', pieces: [] }
      expect(stage.events[0]).toEqual({ on: 'output', name: 'stderr', text: Buffer.from('one two'), held })
      stage.workers.abandon()
    }
  })

  test('has died of nobody knows what', async () => {
    await Stage.takeUp({}, without())
    expect(stage.on('worker_died')[0]?.cause).toMatchObject({ code: null, signal: null, why: expect.any(String) })
  })

  test('has no zygote either, which is told elsewhere', async () => {
    await Stage.takeUp({}, null)
    expect([stage.events, stage.told, stage.begun]).toEqual([[], [], 0])
  })
})

describe('a worker that was on its way', () => {
  const awaited = { ...current, pid: null, frames: 0 }
  const fork: Outstanding = { do: 'fork', token: 'of the kernel', generation: 3 }

  test('is there, and tells so', async () => {
    const found = living.places.map((each) => ({ ...each, workers: [{ pid: PID, token: 'of the kernel' }] }))
    await Stage.takeUp({ current: awaited, outstanding: [fork] }, { ...living, places: found })
    expect(stage.told).toEqual([])
    const link = stage.dial({ token: 'of the kernel', resumed: { generation: 0, sent: 0, got: 0 } })
    expect(link.sent).toEqual([{ kind: 'resume', frames: 0 }])
    expect(stage.events.map(({ on }) => on)).toEqual(['placed', 'worker_up'])
    expect(stage.on('placed')[0]?.placement).toEqual({ ...placement, token: 'of the kernel' })
  })

  test('is forked once more', async () => {
    await Stage.takeUp({ current: awaited, outstanding: [fork] }, without())
    expect(stage.told).toMatchObject([{ kind: 'fork', kernel: 'w2', token: 'of the kernel' }])
  })

  test('is asked for as if nothing had been, when there is nothing', async () => {
    await Stage.takeUp({ placements: [], current: awaited, outstanding: [fork] }, 'nothing')
    expect([stage.begun, stage.told.length]).toEqual([1, 1])
    // The kernel knows of its zygote.
    expect(stage.on('zygote_ready')).toEqual([])
  })

  test('begins from the beginning if it had not begun', async () => {
    await Stage.takeUp({ placements: [], current: null }, 'nothing')
    expect([stage.begun, stage.on('zygote_ready').length, stage.told]).toEqual([1, 1, []])
  })

  test('is woken once more if the copy is still frozen, else is lost', async () => {
    const wake: Outstanding = { do: 'wake', snapshot: 's1', token: 'of the kernel', generation: 3 }
    const frozen = [{ kernel: 'w1', workers: [], snapshots: ['s1'] }]
    await Stage.takeUp({ current: awaited, outstanding: [wake] }, without({ places: frozen }))
    expect(stage.told).toEqual([{ kind: 'wake', kernel: 'w1', snapshot: 's1' }])
    stage.workers.abandon()
    await Stage.takeUp({ current: awaited, outstanding: [wake] }, without())
    expect([stage.told, stage.on('snapshot_gone').length]).toEqual([[], 1])
  })
})

describe('what was asked for', () => {
  test('is told as done, or asked for again', async () => {
    const outstanding: Outstanding[] = [
      { do: 'copy', snapshot: 's1', name: 'c1' },
      { do: 'copy', snapshot: 's1', name: 'c2' },
      { do: 'kill', pid: PID - 1 },
      { do: 'kill', pid: PID - 2 },
      { do: 'discard', snapshots: ['s4'] },
    ]
    const found = [{ kernel: 'w1', workers: [{ pid: PID, token: TOKEN }], snapshots: ['s1', 'c1'] }]
    await Stage.takeUp({ outstanding, snapshots: ['s1'] }, { ...living, places: found })
    expect(stage.on('copied')).toEqual([{ on: 'copied', name: 'c1', error: null }])
    expect(stage.told).toEqual([
      { kind: 'copy', kernel: 'w1', snapshot: 's1', name: 'c2' },
      { kind: 'discard', kernel: 'w1', snapshots: ['s4'] },
    ])
  })

  test('whoever lives and is not wanted is ended', async () => {
    const found = living.places.map((each) => ({ ...each, workers: [...each.workers, { pid: 5, token: 'former' }] }))
    await Stage.takeUp({}, { ...living, places: found })
    expect(stage.told).toEqual([{ kind: 'kill', pid: 5, signal: 9 }])
  })
})

describe('snapshots', () => {
  test('are compared when the worker has said what became of them', async () => {
    const found = [{ kernel: 'w1', workers: [{ pid: PID, token: TOKEN }], snapshots: ['known', 'new', 'strange'] }]
    await Stage.takeUp({ snapshots: ['known', 'lost', 'refrozen'] }, { ...living, places: found })
    stage.clock.advance(4_000)
    const link = stage.dial({ resumed: { generation: 3, sent: 7, got: 0 } })
    link.says(taken('new'))
    link.says(taken('refrozen'))
    expect([stage.on('snapshot_gone'), stage.told]).toEqual([[], []])
    stage.clock.advance(2_000)
    expect(stage.on('snapshot_gone')).toEqual([{ on: 'snapshot_gone', snapshot: 'lost' }])
    expect(stage.told).toEqual([{ kind: 'discard', kernel: 'w1', snapshots: ['strange'] }])
  })
})
