/**
 * The WebSocket framing of connections without a subprotocol.
 *
 * A message without buffers is a text frame: a JSON object with the channel and the message's parts. With buffers it is a
 * binary frame, its numbers unsigned, 32-bit and big-endian:
 *
 *     count | `count` offsets | the same JSON object | buffers
 *
 * The offsets count from the frame's first byte; the last part goes to its end.
 *
 * Docs: https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html
 */

import { messageOf } from './codec.js'
import { jsonMembers, textOf } from './json-members.js'
import { EMPTY_OBJECT, json } from './message.js'
import type { Channel } from './message.js'
import { JSON_PARTS, PARTS_MAX, SEALED_BEFORE_PARTS, badFrame, requestChannelOf } from './websocket.js'
import type { Received } from './websocket.js'

const WORD = 4
const NULL = Buffer.from('null')

/** Pieces of the JSON object, between the parts that go in as the bytes that they are. */
const BEFORE_HEADER = Buffer.from('{"header":')
const BEFORE_METADATA = Buffer.from(',"metadata":')
const BEFORE_CONTENT = Buffer.from(',"content":')

export interface LegacyFrame {
  /** In their order; large ones are the message's own. */
  readonly parts: readonly Buffer[]
  readonly binary: boolean
}

/**
 * The frame of a message that `wire/codec` sealed. The JSON object repeats `msg_id` and `msg_type` at its top, where
 * clients look for them that take messages as jupyter_client hands them out.
 */
export function encodeLegacy(channel: Channel, sealed: readonly Buffer[]): LegacyFrame {
  const [header = EMPTY_OBJECT, parent = EMPTY_OBJECT, metadata = EMPTY_OBJECT, content = EMPTY_OBJECT, ...buffers] =
    sealed.slice(SEALED_BEFORE_PARTS)
  const binary = buffers.length > 0
  const { msg_id, msg_type } = JSON.parse(header.toString('utf8')) as { msg_id?: unknown; msg_type?: unknown }
  const names = `,"msg_id":${JSON.stringify(msg_id)},"msg_type":${JSON.stringify(msg_type)},"parent_header":`
  const end = Buffer.from(`,"channel":"${channel}"${binary ? '' : ',"buffers":[]'}}`)
  const object = [BEFORE_HEADER, header, Buffer.from(names), parent, BEFORE_METADATA, metadata, BEFORE_CONTENT, content]
  const json = [...object, end]
  return { parts: binary ? [offsetsOf(json, buffers), ...json, ...buffers] : json, binary }
}

/**
 * A message from a client's text frame; the parts are slices of it.
 *
 * Throws WIRE_BAD_FRAME where it is no JSON object, WIRE_UNKNOWN_CHANNEL, WIRE_BAD_JSON or WIRE_BAD_SHAPE.
 */
export function decodeLegacyText(frame: Buffer, buffers: readonly Buffer[] = []): Received {
  const members = jsonMembers(frame)
  const channelBytes = members.get('channel')
  const channelMissing = channelBytes === undefined || channelBytes.equals(NULL)
  const channel = channelMissing ? 'shell' : requestChannelOf(textOf(channelBytes))
  const part = (name: string): Buffer => {
    const bytes = members.get(name)
    return bytes === undefined || bytes.equals(NULL) ? EMPTY_OBJECT : bytes
  }
  const message = messageOf(
    withTextDate(part('header')),
    part('parent_header'),
    part('metadata'),
    part('content'),
    buffers,
  )
  return { channel, message, channelMissing }
}

/** Matches the member `date`, and what looks like it within a text, which then is looked at in vain. */
const NUMBER_DATE = /"date"\s*:\s*\d/
const SECONDS_MAX = 253_402_300_799

/**
 * The header with its date as text, as other clients want to see it when it comes back as a parent header:
 * jupyter_server's GatewayKernelClient sends seconds since 1970.
 */
function withTextDate(header: Buffer): Buffer {
  if (!NUMBER_DATE.test(header.toString('latin1'))) return header
  let fields: unknown
  try {
    fields = JSON.parse(header.toString('utf8'))
  } catch {
    return header
  }
  if (typeof fields !== 'object' || fields === null || !('date' in fields)) return header
  const { date } = fields
  if (typeof date !== 'number' || date > SECONDS_MAX) return header
  return json({ ...fields, date: new Date(date * 1000).toISOString() })
}

/** A message from a client's binary frame. Throws as `decodeLegacyText`, and WIRE_BAD_FRAME where offsets are wrong. */
export function decodeLegacyBinary(frame: Buffer): Received {
  if (frame.length < WORD) throw badFrame('A message ends before its offsets do.')
  const count = frame.readUInt32BE(0)
  if (count < 1 || count > PARTS_MAX - JSON_PARTS + 1) {
    throw badFrame(`A message has ${count} parts; it must have 1 to ${PARTS_MAX - JSON_PARTS + 1}.`)
  }
  if (frame.length < WORD * (count + 1)) throw badFrame('A message ends before its offsets do.')
  const offsets: number[] = []
  let least = WORD * (count + 1)
  for (let i = 1; i <= count; i += 1) {
    const offset = frame.readUInt32BE(i * WORD)
    if (offset < least || offset > frame.length) {
      throw badFrame(`Offset ${i} of a message does not lie between the one before it and the end of the frame.`, {
        offset,
        frame_bytes: frame.length,
      })
    }
    offsets.push(offset)
    least = offset
  }
  const [json = EMPTY_OBJECT, ...buffers] = offsets.map((offset, i) => frame.subarray(offset, offsets[i + 1]))
  return decodeLegacyText(json, buffers)
}

/** How many parts there are, and where each of them begins. */
function offsetsOf(json: readonly Buffer[], buffers: readonly Buffer[]): Buffer {
  const table = Buffer.allocUnsafe(WORD * (buffers.length + 2))
  table.writeUInt32BE(buffers.length + 1, 0)
  let at = table.length
  table.writeUInt32BE(at, WORD)
  for (const part of json) at += part.length
  for (const [i, buffer] of buffers.entries()) {
    table.writeUInt32BE(at, (i + 2) * WORD)
    at += buffer.length
  }
  return table
}
