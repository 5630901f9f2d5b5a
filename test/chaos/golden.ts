/** Good messages in each of the framings, for the fuzzers to spoil. */

import { createSigner } from '../../src/wire/signature.js'
import { encodeFrame } from '../../src/link/framing.js'
import { encodeLegacy } from '../../src/wire/websocket-legacy.js'
import { encodeV1 } from '../../src/wire/websocket-v1.js'
import { DELIMITER } from '../../src/wire/codec.js'

export const KEY = 'a key that a connection file could have'
export const signer = createSigner('hmac-sha256', KEY)

const buffer = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

/** Header, parent header, metadata, content and buffers of messages that clients send. */
const MESSAGES: readonly (readonly Buffer[])[] = [
  [
    'execute_request',
    { code: 'print("été", 1)', silent: false, store_history: true, user_expressions: { a: '1' }, allow_stdin: true },
  ],
  ['execute_request', { code: 'x = 1\n'.repeat(200), silent: true }],
  ['input_reply', { value: 'an answer', status: 'ok' }],
  ['comm_open', { comm_id: 'c1', target_name: 'savepoint.transaction', data: {} }],
  ['comm_msg', { comm_id: 'c1', data: { id: '1', op: 'begin', name: 'a' } }, Buffer.from([0, 255, 1, 254]), ''],
  ['comm_close', { comm_id: 'c1', data: {} }],
  ['complete_request', { code: 'impor', cursor_pos: 5 }],
  ['inspect_request', { code: 'print', cursor_pos: 5, detail_level: 1 }],
  ['history_request', { hist_access_type: 'tail', n: 10, output: false, raw: true }],
  ['is_complete_request', { code: 'for i in range(3):' }],
  ['kernel_info_request', {}],
  ['interrupt_request', {}],
  ['shutdown_request', { restart: true }],
  ['debug_request', { type: 'request', seq: 1, command: 'initialize', arguments: { clientID: 'a' } }],
].map(([type, content, ...buffers], at) => [
  buffer({
    msg_id: `m${at}`,
    msg_type: type,
    session: 's',
    username: 'u',
    date: '2030-01-01T00:00:00Z',
    version: '5.3',
  }),
  buffer(at % 3 === 0 ? {} : { msg_id: 'parent', msg_type: 'execute_request', session: 's' }),
  buffer(at % 2 === 0 ? {} : { savepoint: { transaction: { policy: 'rollback_on_failure' }, timeout_s: 3 } }),
  buffer(content),
  ...buffers.map((each) => (Buffer.isBuffer(each) ? each : buffer(each))),
])

const CHANNELS = ['shell', 'control', 'stdin'] as const
/** As `wire/codec` seals them: the encoders of WebSockets leave the first two out. */
const sealed = MESSAGES.map((parts) => [DELIMITER, signer?.(parts.slice(0, 4)) ?? Buffer.alloc(0), ...parts])

export const zmqMessages: readonly (readonly Buffer[])[] = sealed.map((frames) => [Buffer.from('identity'), ...frames])
export const v1Frames: readonly Buffer[] = sealed.map((frames, at) =>
  Buffer.concat(encodeV1(CHANNELS[at % 3] ?? 'shell', frames)),
)
export const legacyFrames: readonly Buffer[] = sealed.map((frames, at) =>
  Buffer.concat(encodeLegacy(CHANNELS[at % 3] ?? 'shell', frames).parts),
)

type Facts = Readonly<Record<string, unknown>> & { readonly kind: string }

/** What workers and writers say. */
const EVENTS: readonly (readonly [Facts, ...(readonly string[])])[] = [
  [{ kind: 'hello', role: 'worker', kernel: 'k', token: 't', pid: 7 }],
  [{ kind: 'stream', name: 'stdout', parent: 'm1', flushed: true }, 'text'.repeat(40)],
  [{ kind: 'publish', type: 'display_data', parent: 'm1', comm_id: 'c' }, '{"data":{}}', '{}', 'bytes'],
  [{ kind: 'reply', seq: 3, status: 'ok', returned: [1, 2], faults: 3, seconds: 0.5 }, '{"status":"ok"}', '{}'],
  [{ kind: 'input_request', id: 'i', parent: 'm1' }, '{"prompt":"?"}'],
  [{ kind: 'ask', id: 'a', op: 'begin', parent: null, args: { name: 'x' } }],
  [{ kind: 'taken', snapshot: 's', pid: 8, ms: 1.5, limits: ['a'], comms: [] }],
  [
    {
      kind: 'undone',
      snapshot: 's',
      effects: [{ kind: 'file_written', target: '/t', restored: true }],
      limits: [],
    },
  ],
  [{ kind: 'restored', id: 'r', restored: 3, lost: [], warnings: [], ms: 3 }],
  [{ kind: 'writing', checkpoint: 'c', done_bytes: 1, total_bytes: null, variable: 'x' }],
  [{ kind: 'log', level: 'warn', text: 'a line' }],
]

export const linkFrames: readonly Buffer[] = EVENTS.map(([envelope, ...parts]) =>
  Buffer.concat(encodeFrame(envelope, parts.map(buffer))),
)
