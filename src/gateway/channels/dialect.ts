/** How the messages of one WebSocket are framed, as it was agreed upon when it was opened. */

import type { Channel } from '../../wire/message.js'
import { V1_SUBPROTOCOL, badFrame } from '../../wire/websocket.js'
import type { Received } from '../../wire/websocket.js'
import { socketFrame } from '../../wire/websocket-frame.js'
import type { SocketFrame } from '../../wire/websocket-frame.js'
import { decodeLegacyBinary, decodeLegacyText, encodeLegacy } from '../../wire/websocket-legacy.js'
import type { LegacyFrame } from '../../wire/websocket-legacy.js'
import { decodeV1, encodeV1 } from '../../wire/websocket-v1.js'
import type { Complain } from './compose.js'
import { createTornadoDialect } from './tornado.js'

export interface Frame extends SocketFrame {
  readonly binary: boolean
}

export interface Dialect {
  readonly name: 'v1' | 'legacy' | 'tornado'
  /** The frames of a sealed message: one, unless the client can only take it in pieces, or not at all. */
  encode(channel: Channel, sealed: readonly Buffer[]): readonly Frame[]
  /** Throws what the decoders of `wire` throw. */
  decode(data: Buffer, binary: boolean): Received
}

/** A larger one is not remembered: large parts are not copied, so that framing it again costs little. */
const REMEMBERED_BYTES_MAX = 262_144

const v1: Dialect = {
  name: 'v1',
  encode: framedOnce((channel, sealed) => ({ parts: encodeV1(channel, sealed), binary: true })),
  decode: (data, binary) => {
    if (!binary) throw badFrame('A text frame came, but this subprotocol has binary frames only.')
    return decodeV1(data)
  },
}

const legacy: Dialect = {
  name: 'legacy',
  encode: framedOnce(encodeLegacy),
  decode: (data, binary) => (binary ? decodeLegacyBinary(data) : decodeLegacyText(data)),
}

/** A message that several clients get is framed once: they get it one right after the other. */
function framedOnce(
  partsOf: (channel: Channel, sealed: readonly Buffer[]) => LegacyFrame,
): (channel: Channel, sealed: readonly Buffer[]) => readonly Frame[] {
  let last: { readonly channel: Channel; readonly sealed: readonly Buffer[]; readonly frames: Frame[] } | null = null
  return (channel, sealed) => {
    if (last !== null && last.sealed === sealed && last.channel === channel) return last.frames
    const { parts, binary } = partsOf(channel, sealed)
    const frame = { ...socketFrame(binary, parts), binary }
    last = frame.bytes > REMEMBERED_BYTES_MAX ? null : { channel, sealed, frames: [frame] }
    return [frame]
  }
}

/** `jupyter lab --gateway-url` speaks through Tornado's client, without a subprotocol. */
const TORNADO = /^Tornado\//

export function dialectOf(subprotocol: string, userAgent: string, complain: Complain): Dialect {
  if (subprotocol === V1_SUBPROTOCOL) return v1
  return TORNADO.test(userAgent) ? createTornadoDialect(legacy, complain) : legacy
}
