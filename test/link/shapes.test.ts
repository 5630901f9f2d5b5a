import { readFileSync } from 'node:fs'
import { encodeFrame, FrameReader } from '../../src/link/framing.js'
import type { Envelope, ResumptionCommand, WorkerCommand, ZygoteCommand, ZygoteEvent } from '../../src/link/protocol.js'
import { hello, workerEvent, writerEvent } from '../../src/link/shapes.js'

interface Vector {
  readonly to: string
  readonly envelope: Envelope
  readonly parts: readonly string[]
}

const VECTORS = new URL('../../../test/vectors/link/kinds.json', import.meta.url)
const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[]
const kindsTo = (to: string): string[] => vectors.filter((each) => each.to === to).map(({ envelope }) => envelope.kind)
const bytesOf = ({ parts }: Vector): Buffer[] => parts.map((part) => Buffer.from(part, 'hex'))
const fromWorker = vectors.filter(({ to }) => to === 'gateway of worker')

/** The compiler knows whether one is missing. */
const WORKER_COMMANDS = {
  lease: true,
  welcome: true,
  request: true,
  withdraw: true,
  snapshot: true,
  hand_over: true,
  forget: true,
  put_back: true,
  effects: true,
  input: true,
  answer: true,
  checkpoint: true,
  restore: true,
  namespace: true,
  debug: true,
  subshell_open: true,
  subshell_close: true,
  stop: true,
  ack: true,
  resume: true,
  dismissed: true,
} satisfies Record<WorkerCommand['kind'] | ResumptionCommand['kind'], true>
const ZYGOTE_COMMANDS = [
  'settings',
  'fork',
  'wake',
  'copy',
  'discard',
  'kill',
  'end',
  'stop',
  'dismissed',
] satisfies ZygoteCommand['kind'][]
const ZYGOTE_EVENTS = [
  'ready',
  'forked',
  'fork_failed',
  'died',
  'snapshot_gone',
  'copied',
  'ended',
  'inventory',
] satisfies ZygoteEvent['kind'][]

describe('PR-5: every kind of message on the link', () => {
  test.each(vectors.map((each) => [`${each.envelope.kind} to the ${each.to}`, each] as const))(
    '%s',
    (_name, vector) => {
      const bytes = Buffer.concat(encodeFrame(vector.envelope, bytesOf(vector)))
      const [frame] = new FrameReader().push(bytes)
      expect(frame?.envelope).toEqual(vector.envelope)
      expect(frame?.parts.map((part) => part.toString('hex'))).toEqual(vector.parts)
    },
  )

  test('has a vector', () => {
    expect(kindsTo('worker').toSorted()).toEqual(Object.keys(WORKER_COMMANDS).toSorted())
    expect(kindsTo('zygote').toSorted()).toEqual(ZYGOTE_COMMANDS.toSorted())
    expect(kindsTo('gateway of zygote').toSorted()).toEqual(ZYGOTE_EVENTS.toSorted())
  })
})

describe('PR-2: what a worker says', () => {
  test.each(fromWorker.map((each) => [each.envelope.kind, each] as const))('is understood: %s', (_kind, vector) => {
    expect(workerEvent(vector.envelope, bytesOf(vector))).toBe(vector.envelope)
  })

  test.each(fromWorker.map((each) => [each.envelope.kind, each] as const))(
    'is refused with a field of another type: %s',
    (_kind, vector) => {
      for (const [field, value] of Object.entries(vector.envelope)) {
        if (value === null || field === 'kind') continue
        const wrong = { ...vector.envelope, [field]: typeof value === 'object' ? 'text' : [value] }
        expect([field, workerEvent(wrong, bytesOf(vector))]).toEqual([field, null])
      }
    },
  )

  test('is refused without its parts, or when its kind is none', () => {
    for (const vector of fromWorker.filter(({ envelope }) => ['stream', 'publish', 'reply'].includes(envelope.kind))) {
      expect(workerEvent(vector.envelope, [])).toBeNull()
    }
    for (const kind of ['nonsense', 'toString', '__proto__', '']) expect(workerEvent({ kind }, [])).toBeNull()
    expect(workerEvent({ kind: 'taken', snapshot: 's', pid: Number.NaN, ms: 1 } as Envelope, [])).toBeNull()
  })

  test('may hold what is not known yet', () => {
    expect(workerEvent({ kind: 'served', seq: 1, later: true } as Envelope, [])).not.toBeNull()
  })
})

describe('PR-2: what a process says that dials in', () => {
  const [first, worker, zygote] = vectors.filter(({ to }) => to === 'gateway').map(({ envelope }) => envelope)

  test('is understood, for the first time and when it comes back', () => {
    for (const envelope of [first, worker, zygote]) expect(hello(envelope as Envelope)).toBe(envelope)
  })

  test('is refused with a field of another type', () => {
    for (const wrong of [
      { pid: '7' },
      { role: 'king' },
      { resumed: true },
      { resumed: { sent: 'all' } },
      { kind: 'hi' },
    ])
      expect(hello({ ...worker, ...wrong } as Envelope)).toBeNull()
  })
})

describe('what a checkpoint’s writer says', () => {
  test('is understood or refused', () => {
    for (const vector of vectors.filter(({ to }) => to === 'gateway of writer')) {
      expect(writerEvent(vector.envelope, [])).toBe(vector.envelope)
      expect(writerEvent({ ...vector.envelope, checkpoint: 5 } as Envelope, [])).toBeNull()
    }
    expect(writerEvent({ kind: 'reply' }, [])).toBeNull()
  })
})
