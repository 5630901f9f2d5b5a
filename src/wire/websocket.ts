/** What the two framings of Jupyter messages on WebSockets have in common. */

import { SavepointError } from '../errors.js'
import type { IncomingMessage, RequestChannel } from './message.js'

/** The subprotocol of the newer framing; a connection without a subprotocol speaks the legacy one. */
export const V1_SUBPROTOCOL = 'v1.kernel.websocket.jupyter.org'

/** `wire/codec` seals a delimiter and a signature in front of the parts; WebSockets have neither. */
export const SEALED_BEFORE_PARTS = 2
/** Header, parent header, metadata and content. */
export const JSON_PARTS = 4
/** Parts of one message, its buffers included: nobody makes this many by intent. */
export const PARTS_MAX = 1024

export interface Received {
  readonly channel: RequestChannel
  readonly message: IncomingMessage
  /** The client left the channel out, which counts as shell. */
  readonly channelMissing: boolean
}

/** Throws WIRE_UNKNOWN_CHANNEL: clients send on three channels, and iopub is none of them. */
export function requestChannelOf(name: string): RequestChannel {
  if (name === 'shell' || name === 'control' || name === 'stdin') return name
  throw new SavepointError(
    'WIRE_UNKNOWN_CHANNEL',
    name === 'iopub'
      ? 'Clients cannot send on the iopub channel; send requests on shell, control or stdin.'
      : 'A message is for a channel that does not exist; the channels of requests are shell, control and stdin.',
  )
}

export function badFrame(message: string, details: Readonly<Record<string, number>> = {}): SavepointError {
  return new SavepointError('WIRE_BAD_FRAME', message, details)
}
