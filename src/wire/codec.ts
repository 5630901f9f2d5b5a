/**
 * Multipart messages to frames and back.
 *
 *     [routing ids or topic] <IDS|MSG> signature header parent_header metadata content [buffers]
 *
 * What comes in is taken apart in one order only: find the delimiter, count the frames, verify the signature over the
 * bytes as they came and in constant time, remember it, and only then parse and look at the shape. So nothing that an
 * outsider sends is parsed, and what is refused is refused for the first reason in that order.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */

import { SavepointError } from '../errors.js'
import { PROTOCOL_VERSION } from './message.js'
import type { Header, IncomingMessage, OutgoingMessage, Stamp } from './message.js'
import type { SignatureGuard, Signer } from './signature.js'

export const DELIMITER = Buffer.from('<IDS|MSG>')
/** The signature and the four signed frames. */
const FRAMES_AFTER_DELIMITER_MIN = 5
const UNSIGNED = Buffer.alloc(0)
const USERNAME = 'kernel'
/** A header is echoed to every client, and a text frame of a WebSocket with bytes that are no UTF-8 ends its connection. */
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface Opened {
  /** The frames before the delimiter: where a reply goes. */
  readonly routing: Buffer[]
  readonly message: IncomingMessage
}

/**
 * A message from a client's frames; no byte is copied.
 *
 * Throws WIRE_NO_DELIMITER, WIRE_TOO_FEW_FRAMES, WIRE_BAD_SIGNATURE, WIRE_REPLAYED, WIRE_BAD_JSON or WIRE_BAD_SHAPE,
 * with nothing of the message in the error. Content is not parsed: of it, as of metadata and the parent header, only
 * the braces of an object are checked, and not even these of an input_reply.
 */
export function open(frames: readonly Buffer[], guard: SignatureGuard): Opened {
  // The first one counts: a buffer may hold the same bytes.
  const at = frames.findIndex((frame) => frame.equals(DELIMITER))
  if (at < 0) throw new SavepointError('WIRE_NO_DELIMITER', 'A message has no frame <IDS|MSG>.')
  const [signature, headerBytes, parentBytes, metadataBytes, contentBytes, ...buffers] = frames.slice(at + 1)
  if (
    signature === undefined ||
    headerBytes === undefined ||
    parentBytes === undefined ||
    metadataBytes === undefined ||
    contentBytes === undefined
  ) {
    throw new SavepointError('WIRE_TOO_FEW_FRAMES', 'A message has too few frames after <IDS|MSG>.', {
      found: frames.length - at - 1,
      needed: FRAMES_AFTER_DELIMITER_MIN,
    })
  }
  guard.check(signature, [headerBytes, parentBytes, metadataBytes, contentBytes])
  return {
    routing: frames.slice(0, at),
    message: messageOf(headerBytes, parentBytes, metadataBytes, contentBytes, buffers),
  }
}

/**
 * A message from its parts, once they are known to come from somebody who may send them.
 *
 * Throws WIRE_BAD_JSON or WIRE_BAD_SHAPE, with nothing of the message in the error.
 */
export function messageOf(
  headerBytes: Buffer,
  parentBytes: Buffer,
  metadataBytes: Buffer,
  contentBytes: Buffer,
  buffers: readonly Buffer[],
): IncomingMessage {
  const header = parseHeader(headerBytes)
  // An answer to `input()` that is no object counts as an empty one: the cell that waits would wait for ever.
  if (header.msg_type !== 'input_reply') {
    checkIsObject('parent header', parentBytes)
    checkIsObject('metadata', metadataBytes)
    checkIsObject('content', contentBytes)
  }
  return { header, headerBytes, parentBytes, metadataBytes, contentBytes, buffers }
}

/**
 * Frames of a message to clients, beginning with the delimiter: the caller puts routing ids or a topic before it.
 *
 * The frames are the message's own buffers. Nobody may write to them any more, since ZeroMQ sends them without a copy.
 */
export function seal(message: OutgoingMessage, stamp: Stamp, signer: Signer): Buffer[] {
  const header: Header = {
    msg_id: stamp.msg_id,
    msg_type: message.type,
    username: USERNAME,
    session: stamp.session,
    date: stamp.date,
    version: PROTOCOL_VERSION,
  }
  const headerBytes = Buffer.from(JSON.stringify(header))
  const signed = [headerBytes, message.parentBytes, message.metadataBytes, message.contentBytes]
  return [DELIMITER, signer === null ? UNSIGNED : signer(signed), ...signed, ...message.buffers]
}

function parseHeader(bytes: Buffer): Header {
  let value: unknown
  try {
    value = JSON.parse(STRICT_UTF8.decode(bytes))
  } catch {
    // The parser's message would quote the header.
    throw new SavepointError('WIRE_BAD_JSON', 'The header of a message is no JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SavepointError('WIRE_BAD_SHAPE', 'The header of a message is no JSON object.')
  }
  const fields: Readonly<Record<string, unknown>> = { ...value }
  const header = {
    msg_id: textField(fields, 'msg_id'),
    msg_type: textField(fields, 'msg_type'),
    session: textField(fields, 'session', ''),
    username: textField(fields, 'username', ''),
    // One of Jupyter's own clients sends seconds since 1970.
    date: typeof fields['date'] === 'number' ? '' : textField(fields, 'date', ''),
    version: textField(fields, 'version', ''),
  }
  const subshell = fields['subshell_id']
  if (subshell === undefined) return header
  return { ...header, subshell_id: subshell === null ? null : textField(fields, 'subshell_id') }
}

/** Small clients leave out what they do not need; what identifies the request has to be there. */
function textField(fields: Readonly<Record<string, unknown>>, name: string, absent?: string): string {
  const value = fields[name] ?? absent
  if (typeof value === 'string' && (value !== '' || absent !== undefined)) return value
  throw new SavepointError(
    'WIRE_BAD_SHAPE',
    `The header's ${name} is ${value === undefined ? 'missing' : 'no text'}.`,
    {
      field: name,
    },
  )
}

const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d

/**
 * Parsing is left to whoever needs the content: it may be large, and may hold what `JSON.parse` refuses or loses
 * (NaN of Python clients, integers beyond 2^53). The braces tell an object from everything else.
 */
function checkIsObject(what: string, bytes: Buffer): void {
  let first = 0
  let last = bytes.length - 1
  while (first <= last && isSpace(bytes[first])) first += 1
  while (last > first && isSpace(bytes[last])) last -= 1
  if (bytes[first] !== OPENING_BRACE || bytes[last] !== CLOSING_BRACE) {
    throw new SavepointError('WIRE_BAD_SHAPE', `The ${what} of a message is no JSON object.`, { what })
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
