/** What jupyter_server's gateway client gets, which can take neither binary frames nor more than 10 MiB. */

import { systemClock } from '../../../src/clock.js'
import { createComplain } from '../../../src/gateway/channels/compose.js'
import { dialectOf } from '../../../src/gateway/channels/dialect.js'
import type { Dialect, Frame } from '../../../src/gateway/channels/dialect.js'
import type { Channel } from '../../../src/wire/message.js'
import { V1_SUBPROTOCOL } from '../../../src/wire/websocket.js'
import { frames } from './stage.js'

const MIB = 1024 * 1024
const PARENT = { msg_id: 'c-1', msg_type: 'execute_request' }

interface Message {
  readonly channel: string
  readonly msg_id: string
  readonly msg_type: string
  readonly parent_header: { readonly msg_id: string }
  readonly content: Readonly<Record<string, unknown>>
}

/** Without the frame's head. */
function payloadOf({ pieces }: Frame): Buffer {
  const bytes = Buffer.concat(pieces)
  return bytes.subarray({ 126: 4, 127: 10 }[bytes[1] ?? 0] ?? 2)
}

function tornado(): Dialect {
  return dialectOf('', 'Tornado/6.6.1', createComplain(systemClock))
}

function told(dialect: Dialect, channel: Channel, type: string, content: object, buffers: Buffer[] = []): Message[] {
  const encoded = dialect.encode(channel, frames({ type, content, parent: PARENT, buffers }))
  expect(encoded.filter(({ binary }) => binary)).toEqual([])
  expect(encoded.filter(({ bytes }) => bytes > 9 * MIB)).toEqual([])
  return encoded.map((frame) => JSON.parse(payloadOf(frame).toString()) as Message)
}

test('only a client of Tornado without a subprotocol is spared', () => {
  const name = (subprotocol: string, userAgent: string): string =>
    dialectOf(subprotocol, userAgent, createComplain(systemClock)).name
  expect([
    name('', 'Tornado/6.6.1'),
    name(V1_SUBPROTOCOL, 'Tornado/6.6.1'),
    name('', 'savepoint-gateway-client/0.1.0'),
    name('', 'Mozilla/5.0 Tornado/6'),
  ]).toEqual(['tornado', 'v1', 'legacy', 'legacy'])
})

test('what is small and has no buffers is as for everybody', () => {
  const sealed = frames({ type: 'stream', content: { name: 'stdout', text: 'hello' }, parent: PARENT })
  const legacy = dialectOf('', 'other', createComplain(systemClock))
  expect(tornado().encode('iopub', sealed)).toEqual(legacy.encode('iopub', sealed))
})

test('a widget comes without its buffers, and its cell says so once', () => {
  const dialect = tornado()
  const data = { state: { value: 1 }, buffer_paths: [['image']] }
  const first = told(dialect, 'iopub', 'comm_open', { comm_id: 'w', data }, [Buffer.from([0xff])])
  expect(first).toMatchObject([
    { msg_type: 'stream', parent_header: PARENT, content: { name: 'stderr' } },
    { msg_type: 'comm_open', content: { comm_id: 'w', data: { state: { value: 1 }, buffer_paths: [] } } },
  ])
  expect(first[0]?.content['text']).toContain('savepoint-gateway-client')
  const second = told(dialect, 'iopub', 'comm_msg', { comm_id: 'w', data }, [Buffer.from([0xff])])
  expect(second.map(({ msg_type }) => msg_type)).toEqual(['comm_msg'])
})

test('a comm message that is about its buffers goes no further', () => {
  const messages = told(tornado(), 'iopub', 'comm_msg', { comm_id: 'w', data: { method: 'custom' } }, [Buffer.alloc(1)])
  expect(messages.map(({ msg_type }) => msg_type)).toEqual(['stream'])
})

test('other messages lose their buffers only', () => {
  const messages = told(tornado(), 'iopub', 'display_data', { data: { 'text/plain': 'x' } }, [Buffer.alloc(1)])
  expect(messages).toMatchObject([
    { msg_type: 'stream' },
    { msg_type: 'display_data', content: { data: { 'text/plain': 'x' } } },
  ])
})

test.each([
  ['plain text', 'x', 9],
  ['control characters, of which each takes six bytes', '\u0001', 2],
  ['characters of two units', '\u{1f600}', 6],
])('a long stream comes whole, in pieces: %s', (_what, unit, mib) => {
  const text = unit.repeat((mib * MIB) / unit.length) + 'end'
  const messages = told(tornado(), 'iopub', 'stream', { name: 'stdout', text })
  expect(messages.length).toBeGreaterThan(1)
  expect(messages.map(({ content }) => content['text']).join('') === text).toBe(true)
  expect(
    messages.every(({ content, parent_header }) => content['name'] === 'stdout' && parent_header.msg_id === 'c-1'),
  ).toBe(true)
  expect(new Set(messages.map(({ msg_id }) => msg_id)).size).toBe(messages.length)
})

test.each(['display_data', 'execute_result', 'update_display_data'])('of a %s of 11 MiB it is told', (type) => {
  const content = {
    data: { 'text/html': 'x'.repeat(11 * MIB) },
    metadata: {},
    execution_count: 7,
    transient: { display_id: 'd' },
  }
  const messages = told(tornado(), 'iopub', type, content)
  expect(messages).toMatchObject([
    { msg_type: 'stream', content: { name: 'stderr' } },
    { msg_type: type, content: { execution_count: 7, transient: { display_id: 'd' } } },
  ])
  expect(Object.keys(messages[1]?.content['data'] as object)).toEqual(['text/plain'])
})

test('an error and a reply of 11 MiB still end their cell', () => {
  const large = 'x'.repeat(11 * MIB)
  const error = told(tornado(), 'iopub', 'error', { ename: 'E', evalue: large, traceback: [] })
  expect(error.at(-1)).toMatchObject({ msg_type: 'error', content: { ename: 'E' } })
  const reply = told(tornado(), 'shell', 'execute_reply', { status: 'ok', execution_count: 3, payload: [large] })
  expect(reply.at(-1)).toMatchObject({
    channel: 'shell',
    msg_type: 'execute_reply',
    content: { status: 'error', execution_count: 3 },
  })
})

test('a comm message of 11 MiB is left out, and told', () => {
  const messages = told(tornado(), 'iopub', 'comm_msg', { comm_id: 'w', data: { a: 'x'.repeat(11 * MIB) } })
  expect(messages.map(({ msg_type }) => msg_type)).toEqual(['stream'])
})
