/**
 * What a journal's records hold, as bytes.
 *
 *     kind u8 | now f64 | bytes of the body u32 | number of messages u32 | body | messages     all big-endian
 *
 * The body is what the kind fixes, as `bodies.ts` writes it. A message is
 *
 *     bytes that follow u32 | seq f64 | channel u8 | mark u8 | bytes of parent, key, topic u16 each | routing parts u32
 *     | frames u32 | lengths of routing parts and frames u32 each | parent | key | topic | routing parts | frames
 *
 * so that whoever looks for messages reads no body, and passes over a message without looking into it.
 */

import { SavepointError } from '../../errors.js'
import type { Channel } from '../../wire/message.js'
import { readBody, writeBody, writePlain } from './bodies.js'
import { Chunks } from './chunks.js'
import type { JournalMessage } from './messages.js'
import type { SaidBody } from './replay.js'

export type RecordKind = 'begin' | 'step' | 'said' | 'heard' | 'placed' | 'state'

/** What a status says of the request that it belongs to. */
export type Mark = 'none' | 'busy' | 'idle'

export interface MarkedMessage extends JournalMessage {
  /** msg_id of the request that it belongs to; null: none. */
  readonly parent: string | null
  readonly mark: Mark
}

export interface JournalRecord {
  readonly kind: RecordKind
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly body: unknown
  readonly messages: readonly MarkedMessage[]
}

const KINDS: readonly RecordKind[] = ['begin', 'step', 'said', 'heard', 'placed', 'state']
const CHANNELS: readonly Channel[] = ['iopub', 'shell', 'control', 'stdin']
const MARKS: readonly Mark[] = ['none', 'busy', 'idle']
const HEAD_BYTES = 17
const BODY_BYTES_AT = 9
const MESSAGE_BYTES = 28
const NO_KEY = 0xffff
/** In UTF-16, of which each unit is at most three bytes of UTF-8. */
const KEY_UNITS_MAX = 21_844

/** The record as chunks of bytes, which count until the next one is encoded. */
export function encodeRecord(
  kind: RecordKind,
  now: number,
  body: unknown,
  messages: readonly MarkedMessage[],
): readonly Buffer[] {
  const chunks = new Chunks()
  chunks.u8(KINDS.indexOf(kind))
  chunks.f64(now)
  chunks.u32(0)
  chunks.u32(messages.length)
  if (kind === 'said') writePlain(chunks, body as SaidBody)
  else writeBody(chunks, body, kind === 'step')
  chunks.setU32(chunks.bytes - HEAD_BYTES, BODY_BYTES_AT)
  for (const message of messages) writeMessage(chunks, message)
  return chunks.done()
}

function writeMessage(chunks: Chunks, message: MarkedMessage): void {
  const { frames, routing } = message
  const parent = cut(message.parent ?? '')
  const topic = cut(message.topic)
  const to = cut(message.to ?? '')
  const parentBytes = Buffer.byteLength(parent)
  const topicBytes = Buffer.byteLength(topic)
  const toBytes = Buffer.byteLength(to)
  let following = MESSAGE_BYTES - 4 + 4 * (routing.length + frames.length) + parentBytes + toBytes + topicBytes
  for (const { length } of routing) following += length
  for (const { length } of frames) following += length
  chunks.u32(following)
  chunks.f64(message.seq)
  chunks.u8(CHANNELS.indexOf(message.channel))
  chunks.u8(MARKS.indexOf(message.mark))
  chunks.u16(message.parent === null ? NO_KEY : parentBytes)
  chunks.u16(message.to === null ? NO_KEY : toBytes)
  chunks.u16(topicBytes)
  chunks.u32(routing.length)
  chunks.u32(frames.length)
  for (const { length } of routing) chunks.u32(length)
  for (const { length } of frames) chunks.u32(length)
  chunks.text(parent, parentBytes)
  chunks.text(to, toBytes)
  chunks.text(topic, topicBytes)
  for (const part of routing) chunks.add(part)
  for (const part of frames) chunks.add(part)
}

/** Ids and keys of clients; a longer one is cut, and then found by nobody. */
function cut(value: string): string {
  return value.length <= KEY_UNITS_MAX ? value : value.slice(0, KEY_UNITS_MAX)
}

/** Of which kind a record is; null: of none that is known here. */
export function kindOf(payload: Buffer): RecordKind | null {
  return KINDS[payload[0] ?? KINDS.length] ?? null
}

/** Throws `storage_failed` for what is no record. */
export function decodeRecord(payload: Buffer): JournalRecord {
  const kind = kindOf(payload)
  if (kind === null || payload.length < HEAD_BYTES) throw noRecord()
  const bytes = payload.readUInt32BE(BODY_BYTES_AT)
  try {
    const body: unknown = readBody(payload.subarray(HEAD_BYTES, HEAD_BYTES + bytes))
    return { kind, now: payload.readDoubleBE(1), body, messages: [...messagesOf(payload)] }
  } catch (error) {
    throw noRecord(error)
  }
}

/** The messages of a record alone. Throws RangeError for what is no record. */
export function* messagesOf(payload: Buffer): Generator<MarkedMessage> {
  let at = HEAD_BYTES + payload.readUInt32BE(BODY_BYTES_AT)
  for (let left = payload.readUInt32BE(13); left > 0; left -= 1) {
    const next = at + 4 + payload.readUInt32BE(at)
    yield readMessage(payload, at)
    at = next
  }
}

/** Number of a record's first message and how many there are; null: none. */
export function seqsOf(payload: Buffer): { readonly first: number; readonly count: number } | null {
  const count = payload.readUInt32BE(13)
  return count === 0
    ? null
    : { first: payload.readDoubleBE(HEAD_BYTES + payload.readUInt32BE(BODY_BYTES_AT) + 4), count }
}

function readMessage(payload: Buffer, from: number): MarkedMessage {
  const parentBytes = payload.readUInt16BE(from + 14)
  const toBytes = payload.readUInt16BE(from + 16)
  const routingCount = payload.readUInt32BE(from + 20)
  const count = routingCount + payload.readUInt32BE(from + 24)
  let at = from + MESSAGE_BYTES + 4 * count
  const take = (length: number): Buffer => payload.subarray(at, (at += length))
  const parent = parentBytes === NO_KEY ? null : take(parentBytes).toString()
  const to = toBytes === NO_KEY ? null : take(toBytes).toString()
  const topic = take(payload.readUInt16BE(from + 18)).toString()
  const parts = Array.from({ length: count }, (_, i) => take(payload.readUInt32BE(from + MESSAGE_BYTES + 4 * i)))
  return {
    seq: payload.readDoubleBE(from + 4),
    channel: CHANNELS[payload.readUInt8(from + 12)] ?? 'iopub',
    mark: MARKS[payload.readUInt8(from + 13)] ?? 'none',
    parent,
    to,
    topic,
    routing: parts.slice(0, routingCount),
    frames: parts.slice(routingCount),
  }
}

function noRecord(cause?: unknown): SavepointError {
  return new SavepointError('storage_failed', 'The journal holds what is no record.', {}, { cause })
}
