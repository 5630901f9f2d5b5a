/** How the messages of one WebSocket are framed, as it was agreed upon when it was opened. */

import type { Channel } from '../../wire/message.js'
import { V1_SUBPROTOCOL, badFrame } from '../../wire/websocket.js'
import type { Received } from '../../wire/websocket.js'
import { decodeLegacyBinary, decodeLegacyText, encodeLegacy } from '../../wire/websocket-legacy.js'
import { decodeV1, encodeV1 } from '../../wire/websocket-v1.js'
import type { Complain } from './compose.js'
import { createTornadoDialect } from './tornado.js'

export interface Frame {
  readonly data: Buffer
  readonly binary: boolean
}

export interface Dialect {
  readonly name: 'v1' | 'legacy' | 'tornado'
  /** The frames of a sealed message: one, unless the client can only take it in pieces, or not at all. */
  encode(channel: Channel, sealed: readonly Buffer[]): readonly Frame[]
  /** Throws what the decoders of `wire` throw. */
  decode(data: Buffer, binary: boolean): Received
}

/** A message that several clients get is framed once. */
const framed = new WeakMap<readonly Buffer[], Buffer>()

const v1: Dialect = {
  name: 'v1',
  encode: (channel, sealed) => {
    let data = framed.get(sealed)
    if (data === undefined) {
      data = encodeV1(channel, sealed)
      framed.set(sealed, data)
    }
    return [{ data, binary: true }]
  },
  decode: (data, binary) => {
    if (!binary) throw badFrame('A text frame came, but this subprotocol has binary frames only.')
    return decodeV1(data)
  },
}

const legacy: Dialect = {
  name: 'legacy',
  encode: (channel, sealed) => [encodeLegacy(channel, sealed)],
  decode: (data, binary) => (binary ? decodeLegacyBinary(data) : decodeLegacyText(data)),
}

/** `jupyter lab --gateway-url` speaks through Tornado's client, without a subprotocol. */
const TORNADO = /^Tornado\//

export function dialectOf(subprotocol: string, userAgent: string, complain: Complain): Dialect {
  if (subprotocol === V1_SUBPROTOCOL) return v1
  return TORNADO.test(userAgent) ? createTornadoDialect(legacy, complain) : legacy
}
