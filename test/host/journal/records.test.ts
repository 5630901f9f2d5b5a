import { deserialize, serialize } from 'node:v8'
import {
  decodeRecord,
  encodeRecord,
  messagesOf,
  seqsOf,
  type MarkedMessage,
} from '../../../src/host/journal/records.js'
import type { KernelEvent } from '../../../src/kernel/effects.js'

const text = (value: string): Buffer => Buffer.from(value)
const LARGE = Buffer.alloc(100_000, 'x')
const LONG = 'ä\ud800"\n€'.repeat(20_000)

const HEADER = { msg_id: 'm1', msg_type: 'execute_request', session: 's', username: 'ü', date: '', version: '5.4' }
const EVENTS: readonly KernelEvent[] = [
  {
    on: 'message',
    channel: 'shell',
    client: { routing: [text('key'), Buffer.from([0, 255])], leaves: true },
    message: {
      header: HEADER,
      headerBytes: text(JSON.stringify(HEADER)),
      parentBytes: text('{}'),
      metadataBytes: text('{"a":1}'),
      contentBytes: text('{"code":"\\ud800"}'),
      buffers: [Buffer.alloc(0), LARGE],
    },
  },
  {
    on: 'message',
    channel: 'stdin',
    client: { routing: [] },
    message: {
      header: { ...HEADER, subshell_id: null },
      headerBytes: text('{}'),
      parentBytes: text('{}'),
      metadataBytes: text('{}'),
      contentBytes: LARGE,
      buffers: [],
    },
  },
  {
    on: 'worker',
    generation: 3,
    frame: 2 ** 40,
    event: { kind: 'reply', seq: 7, status: 'ok', seconds: 0.1, output: LONG },
    parts: [text('{}'), LARGE, Buffer.alloc(0)],
  },
  { on: 'worker', generation: 1, event: { kind: 'interrupted' }, parts: [] },
  { on: 'snapshot_gone', snapshot: 'sn_1' },
  { on: 'deadline', id: LONG.slice(0, 7_000) },
  { on: 'settled', seq: 4 },
  { on: 'settled' },
  { on: 'output', name: 'stdout', text: text('abc') },
  { on: 'zygote_ready', kernelInfo: LARGE },
]

function message(seq: number, more: Partial<MarkedMessage> = {}): MarkedMessage {
  const frames = [text('<IDS|MSG>'), Buffer.alloc(0), text('{}')]
  const common = { channel: 'iopub', to: null, routing: [], topic: 'stream', parent: 'm1', mark: 'none' } as const
  return { ...common, seq, frames, ...more }
}

const MESSAGES: readonly MarkedMessage[] = [
  message(1, { mark: 'busy' }),
  message(2, { channel: 'shell', to: 'ws:ä', routing: [text('r'), LARGE], frames: [LARGE, text('{}'), LARGE] }),
  message(2 ** 45, { parent: null, topic: '', to: '' }),
]

function written(kind: 'step' | 'said', body: unknown, messages: readonly MarkedMessage[]): Buffer {
  return Buffer.concat(encodeRecord(kind, 12.5, body, messages))
}

test.each(EVENTS.map((event, i) => [`${i} ${event.on}`, event] as const))(
  '%s is read as it was written',
  (_, event) => {
    for (const messages of [[], MESSAGES]) {
      const payload = written('step', event, messages)
      expect(decodeRecord(payload)).toEqual({ kind: 'step', now: 12.5, body: event, messages })
      expect([...messagesOf(payload)]).toEqual(messages)
      expect(seqsOf(payload)).toEqual(messages.length === 0 ? null : { first: 1, count: 3 })
      // No field is there that was not: `replay` must not see a difference.
      expect(Object.keys(decodeRecord(payload).body as object).toSorted()).toEqual(
        Object.keys(deserialize(serialize(event)) as object).toSorted(),
      )
    }
  },
)

test.each([[null], [{ generation: 1, frame: 5 }], [{ generation: 1, frame: 2 ** 40, ahead: 1 }]])(
  'what goes with output is read as it was written: %j',
  (body) => expect(decodeRecord(written('said', body, MESSAGES)).body).toEqual(body),
)

test('bodies by v8.serialize are read wherever they stand', () => {
  const body = serialize({ generation: 1, frame: 5 })
  const head = Buffer.alloc(17)
  head.writeUInt8(2, 0)
  head.writeUInt32BE(body.length, 9)
  expect(decodeRecord(Buffer.concat([head, body])).body).toEqual({ generation: 1, frame: 5 })
})

test('a record does not hold what a longer one before it held, and a damaged one is refused', () => {
  written('step', EVENTS[2], MESSAGES)
  const payload = written('said', null, [])
  expect(payload.length).toBeLessThan(64)
  for (let end = 17; end < payload.length; end += 1) {
    expect(() => decodeRecord(payload.subarray(0, end))).toThrow(expect.objectContaining({ code: 'storage_failed' }))
  }
})

test('a key that is too long is cut', () => {
  const [read] = messagesOf(written('said', null, [message(1, { to: '€'.repeat(40_000) })]))
  expect(read?.to).toBe('€'.repeat(21_844))
})
