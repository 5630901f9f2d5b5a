/**
 * The legacy framing for jupyter_server's gateway client, which dies of a binary frame and loses its connection over a
 * message of more than 10 MiB: so it gets text frames of less than 8 MiB only.
 *
 * Buffers are left out and large streams are cut in pieces; of a large display or reply it gets told. Where something is
 * missing, the output of that cell says so, once, and what helps.
 */

import { EMPTY_OBJECT, json } from '../../wire/message.js'
import type { Channel } from '../../wire/message.js'
import { SEALED_BEFORE_PARTS } from '../../wire/websocket.js'
import type { Complain } from './compose.js'
import type { Dialect, Frame } from './dialect.js'

/** Tornado's limit is 10 MiB; what encodes to less than this leaves room for the rest of the message. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024
/** A character takes six bytes at most in JSON. */
const PIECE_CHARS = Math.floor(FRAME_BYTES_MAX / 6) - 16_384

const HELP =
  'Install savepoint-gateway-client beside the Jupyter server and start it with ' +
  '--ServerApp.kernel_websocket_connection_class=savepoint_gateway_client.Connection to get them.'
const NO_BUFFERS =
  'Savepoint: this Jupyter server cannot pass on binary data of a gateway, so parts of a widget or plot are missing. ' +
  HELP
const TOO_LARGE = 'Savepoint: this Jupyter server cannot pass on messages of more than 10 MiB of a gateway. ' + HELP

type Parts = readonly [header: Buffer, parent: Buffer, metadata: Buffer, content: Buffer]
type Fields = Record<string, unknown>

export function createTornadoDialect(legacy: Dialect, complain: Complain): Dialect {
  /** Ids of the last requests whose output was told. */
  const told = new Map<string, string>()

  const tell = (text: string, parent: Buffer): Frame[] => {
    const id = String(fieldsOf(parent)?.['msg_id'])
    if (told.get(text) === id) return []
    told.set(text, id)
    return [...legacy.encode('iopub', complain(text, parent))]
  }

  const encode = (channel: Channel, sealed: readonly Buffer[]): readonly Frame[] => {
    const bytes = sealed.reduce((sum, frame) => sum + frame.length, 0)
    if (sealed.length <= SEALED_BEFORE_PARTS + 4 && bytes < FRAME_BYTES_MAX) return legacy.encode(channel, sealed)
    const [header = EMPTY_OBJECT, parent = EMPTY_OBJECT, metadata = EMPTY_OBJECT, content = EMPTY_OBJECT, ...buffers] =
      sealed.slice(SEALED_BEFORE_PARTS)
    const type = String(fieldsOf(header)?.['msg_type'])
    const parts: Parts = [header, parent, metadata, content]
    const bare = buffers.length === 0 ? parts : withoutBuffers(type, parts)
    const complaint = buffers.length === 0 ? [] : tell(NO_BUFFERS, parent)
    if (bare === null) return complaint
    if (bare.reduce((sum, part) => sum + part.length, 0) < FRAME_BYTES_MAX) {
      return [...complaint, ...legacy.encode(channel, resealed(bare))]
    }
    const smaller = shrunk(channel, type, bare)
    const tooLarge = type === 'stream' && smaller.length > 0 ? [] : tell(TOO_LARGE, parent)
    return [...complaint, ...tooLarge, ...smaller.flatMap((each) => legacy.encode(channel, resealed(each)))]
  }

  return { name: 'tornado', encode, decode: legacy.decode }
}

/**
 * A widget's state goes on without what was in the buffers, which leaves that at its default; a comm message that is
 * about its buffers goes no further.
 */
function withoutBuffers(type: string, [header, parent, metadata, content]: Parts): Parts | null {
  if (type !== 'comm_open' && type !== 'comm_msg') return [header, parent, metadata, content]
  const fields = fieldsOf(content)
  const data = fields === null ? null : objectOf(fields['data'])
  if (data === null) return null
  if (data['buffer_paths'] === undefined) return type === 'comm_open' ? [header, parent, metadata, content] : null
  return [header, parent, metadata, json({ ...fields, data: { ...data, buffer_paths: [] } })]
}

/** Messages that say as much as fits; none if nothing does. */
function shrunk(channel: Channel, type: string, [header, parent, metadata, content]: Parts): readonly Parts[] {
  const fields = fieldsOf(content) ?? {}
  const text = fields['text']
  if (type === 'stream' && typeof text === 'string') {
    return piecesOf(text).map((piece, i) => [
      json({ ...fieldsOf(header), msg_id: `${String(fieldsOf(header)?.['msg_id'])}_${i}` }),
      parent,
      metadata,
      json({ ...fields, text: piece }),
    ])
  }
  if (type === 'display_data' || type === 'execute_result' || type === 'update_display_data') {
    return [[header, parent, EMPTY_OBJECT, json({ ...fields, data: { 'text/plain': TOO_LARGE }, metadata: {} })]]
  }
  if (type === 'error') {
    const { ename } = fields
    return [
      [
        header,
        parent,
        EMPTY_OBJECT,
        json({ ename: String(ename).slice(0, 1000), evalue: TOO_LARGE, traceback: [TOO_LARGE] }),
      ],
    ]
  }
  if (channel === 'iopub') return []
  const { execution_count } = fields
  const refusal = { status: 'error', ename: 'SavepointError', evalue: `too_large: ${TOO_LARGE}`, traceback: [] }
  return [[header, parent, EMPTY_OBJECT, json({ ...refusal, execution_count })]]
}

/** No character of two units is cut in halves. */
function piecesOf(text: string): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + PIECE_CHARS, text.length)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    pieces.push(text.slice(at, end))
    at = end
  }
  return pieces
}

function resealed(parts: Parts): readonly Buffer[] {
  return [EMPTY_OBJECT, EMPTY_OBJECT, ...parts]
}

function fieldsOf(bytes: Buffer): Fields | null {
  try {
    return objectOf(JSON.parse(bytes.toString('utf8')))
  } catch {
    return null
  }
}

function objectOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
}
