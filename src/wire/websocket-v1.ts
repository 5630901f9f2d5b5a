/**
 * The WebSocket framing `v1.kernel.websocket.jupyter.org`: every message is one binary frame.
 *
 *     count, then `count` offsets (unsigned 64-bit, little-endian) | channel | header | parent header | metadata | content | buffers
 *
 * The offsets count from the frame's first byte: where each part begins, and where the last one ends. No JSON is parsed
 * on the way out, and only the header on the way in.
 *
 * Docs: https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html
 */

import { messageOf } from './codec.js'
import type { Channel } from './message.js'
import { JSON_PARTS, PARTS_MAX, SEALED_BEFORE_PARTS, badFrame, requestChannelOf } from './websocket.js'
import type { Received } from './websocket.js'

const WORD = 8
const WORD_HIGH = 2 ** 32
/** The channel before the parts, and the end of the last one after them. */
const OFFSETS_BESIDE_PARTS = 2

/** The parts, in their order, of the frame of a message that `wire/codec` sealed. None of the message's bytes is copied. */
export function encodeV1(channel: Channel, sealed: readonly Buffer[]): Buffer[] {
  const count = sealed.length - SEALED_BEFORE_PARTS + OFFSETS_BESIDE_PARTS
  const start = WORD * (count + 1)
  const table = Buffer.allocUnsafe(start + channel.length)
  table.write(channel, start, 'latin1')
  writeWord(table, 0, count)
  writeWord(table, 1, start)
  let at = table.length
  writeWord(table, 2, at)
  const parts: Buffer[] = [table]
  for (let i = SEALED_BEFORE_PARTS; i < sealed.length; i += 1) {
    const part = sealed[i]
    if (part === undefined) continue
    parts.push(part)
    at += part.length
    writeWord(table, i - SEALED_BEFORE_PARTS + OFFSETS_BESIDE_PARTS + 1, at)
  }
  return parts
}

/**
 * A message from a client's binary frame; no byte is copied.
 *
 * Throws WIRE_BAD_FRAME where the offsets are wrong, WIRE_UNKNOWN_CHANNEL, WIRE_BAD_JSON or WIRE_BAD_SHAPE.
 */
export function decodeV1(frame: Buffer): Received {
  const count = readWord(frame, 0)
  const partsCount = count - OFFSETS_BESIDE_PARTS
  if (partsCount < JSON_PARTS || partsCount > PARTS_MAX) {
    throw badFrame(`A message has ${partsCount} parts; it must have ${JSON_PARTS} to ${PARTS_MAX}.`)
  }
  const offsets: number[] = []
  let least = WORD * (count + 1)
  for (let i = 1; i <= count; i += 1) {
    const offset = readWord(frame, i)
    if (offset < least || offset > frame.length) {
      throw badFrame(`Offset ${i} of a message does not lie between the one before it and the end of the frame.`, {
        offset,
        frame_bytes: frame.length,
      })
    }
    offsets.push(offset)
    least = offset
  }
  const part = (i: number): Buffer => frame.subarray(offsets[i], offsets[i + 1])
  const channel = requestChannelOf(part(0).toString('latin1'))
  const buffers = Array.from({ length: partsCount - JSON_PARTS }, (_, i) => part(i + 1 + JSON_PARTS))
  return { channel, message: messageOf(part(1), part(2), part(3), part(4), buffers), channelMissing: false }
}

function writeWord(frame: Buffer, index: number, value: number): void {
  frame.writeUInt32LE(value % WORD_HIGH, index * WORD)
  frame.writeUInt32LE(Math.floor(value / WORD_HIGH), index * WORD + WORD / 2)
}

/** Numbers beyond 2^53 lose digits, and are far beyond every frame in any case. */
function readWord(frame: Buffer, index: number): number {
  if (frame.length < (index + 1) * WORD) throw badFrame('A message ends before its offsets do.')
  return frame.readUInt32LE(index * WORD) + frame.readUInt32LE(index * WORD + WORD / 2) * WORD_HIGH
}
