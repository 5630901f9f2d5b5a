/**
 * Frames of a WebSocket as a server sends them: whole messages, without a mask.
 *
 * A frame is a list of pieces for one gathered write. Small parts are joined with the head, so that most messages are one
 * piece; a large one is sent from where it lies in memory, since copying it costs as much as sending it.
 *
 * Docs: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
 */

const WHOLE = 0x80
const TEXT = 1
const BINARY = 2
/** The largest length that the head's second byte can hold, and what stands there for one of two or eight bytes. */
const TINY_BYTES_MAX = 125
const LENGTH_OF_2 = 126
const LENGTH_OF_8 = 127
const SHORT_BYTES_MAX = 0xffff
/** From here on a piece of its own is cheaper than a copy. */
const APART_BYTES_MIN = 16_384

export interface SocketFrame {
  readonly pieces: readonly Buffer[]
  /** Of all pieces together. */
  readonly bytes: number
}

/** The frame of a message that consists of these parts, one after the other. Large ones are not copied. */
export function socketFrame(binary: boolean, parts: readonly Buffer[]): SocketFrame {
  let payloadBytes = 0
  for (const part of parts) payloadBytes += part.length
  const headBytes = payloadBytes <= TINY_BYTES_MAX ? 2 : payloadBytes <= SHORT_BYTES_MAX ? 4 : 10
  const pieces: Buffer[] = []
  let from = 0
  let room = headBytes
  while (from < parts.length || pieces.length === 0) {
    let to = from
    let runBytes = room
    for (let part = parts[to]; part !== undefined && part.length < APART_BYTES_MIN; part = parts[to]) {
      runBytes += part.length
      to += 1
    }
    if (runBytes > 0) pieces.push(joined(parts, from, to, runBytes, room))
    const large = parts[to]
    if (large !== undefined) pieces.push(large)
    from = to + 1
    room = 0
  }
  if (pieces[0]) writeHead(pieces[0], binary, payloadBytes)
  return { pieces, bytes: headBytes + payloadBytes }
}

/** Parts from index `from` to `to`, behind `room` bytes that are not written yet. */
function joined(parts: readonly Buffer[], from: number, to: number, bytes: number, room: number): Buffer {
  const run = Buffer.allocUnsafe(bytes)
  let at = room
  for (let i = from; i < to; i += 1) {
    const part = parts[i]
    if (part === undefined) continue
    run.set(part, at)
    at += part.length
  }
  return run
}

function writeHead(target: Buffer, binary: boolean, payloadBytes: number): void {
  target[0] = WHOLE | (binary ? BINARY : TEXT)
  if (payloadBytes <= TINY_BYTES_MAX) {
    target[1] = payloadBytes
  } else if (payloadBytes <= SHORT_BYTES_MAX) {
    target[1] = LENGTH_OF_2
    target.writeUInt16BE(payloadBytes, 2)
  } else {
    target[1] = LENGTH_OF_8
    target.writeBigUInt64BE(BigInt(payloadBytes), 2)
  }
}
