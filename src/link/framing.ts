/**
 * The link's frames as bytes.
 *
 *     u32 BE  N = length of all that follows
 *     u32 BE  E = length of the envelope
 *     E bytes envelope: JSON object (UTF-8) with "kind" and, if there are parts, "parts": [length, ...]
 *     then the parts, back to back; 4 + E + sum(parts) == N
 *
 * A stream of bytes arrives in arbitrary pieces. Chunks are kept as they came until a frame is whole, and are joined
 * only then; those of a large frame are copied to their place when they come. So a part of 50 MB costs one copy however
 * it was chopped, made while the next piece is on its way, and a small frame costs none.
 *
 * Invariant: after a refusal the reader never yields a frame again, since nothing tells where the next one begins.
 */

import { SavepointError } from '../errors.js'
import type { Envelope, Frame } from './protocol.js'

/** What a length of four bytes can say without its sign bit: the limit of the Python half too. */
export const FRAME_BYTES_MAX = 2 ** 31 - 1
/** Envelopes hold facts; what may grow without bound belongs in a part. */
export const ENVELOPE_BYTES_MAX = 64 * 1024 * 1024

const LENGTH_BYTES = 4
const PRELUDE_BYTES = 8
/** What an envelope may begin with: a brace, or what JSON allows before it. */
const OPENINGS: readonly number[] = [0x7b, 0x20, 0x09, 0x0a, 0x0d]
/** A frame of this size is given its memory when its length is known, and filled as its bytes come. */
const LARGE_BYTES = 256 * 1024

/**
 * Bytes of one frame, as a list for one gathered write: parts are not copied.
 *
 * `parts` is no key of the envelope: it is filled in here. Throws LINK_BAD_FRAME if a limit of the format is exceeded.
 */
export function encodeFrame(envelope: Envelope, parts: readonly Buffer[] = []): Buffer[] {
  const text = withPartLengths(JSON.stringify(envelope), parts)
  const envelopeBytes = Buffer.byteLength(text)
  let frameBytes = LENGTH_BYTES + envelopeBytes
  for (const part of parts) frameBytes += part.length
  if (envelopeBytes > ENVELOPE_BYTES_MAX || frameBytes > FRAME_BYTES_MAX) {
    throw new SavepointError('LINK_BAD_FRAME', `A frame of kind ${envelope.kind} is too long for the link.`, {
      kind: envelope.kind,
      envelopeBytes,
      frameBytes,
    })
  }
  const head = Buffer.allocUnsafe(PRELUDE_BYTES + envelopeBytes)
  head.writeUInt32BE(frameBytes, 0)
  head.writeUInt32BE(envelopeBytes, LENGTH_BYTES)
  head.write(text, PRELUDE_BYTES, 'utf8')
  return [head, ...parts]
}

/** Parsing and writing again would cost a copy of the object; an envelope always has a kind, hence the comma. */
function withPartLengths(text: string, parts: readonly Buffer[]): string {
  return parts.length === 0 ? text : `${text.slice(0, -1)},"parts":[${parts.map((part) => part.length).join()}]}`
}

export class FrameReader {
  readonly #frameBytesMax: number
  /** Chunks not consumed yet, oldest first, and how many bytes they hold. */
  #chunks: Buffer[] = []
  #available = 0
  /** Length of the frame that is being awaited, its own four bytes not counted; null until they are here. */
  #frameBytes: number | null = null
  /** A large frame's body as far as it has come, and how far that is; there are no chunks meanwhile. */
  #large: Buffer | null = null
  #filled = 0
  #refusal: SavepointError | null = null

  constructor(options: { readonly frameBytesMax?: number } = {}) {
    this.#frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX
  }

  /**
   * Frames that are whole now that `chunk` has come, in order. The reader keeps views of the chunk.
   *
   * Throws LINK_BAD_FRAME on bytes that are no frame, and again on each later call. Frames before the bad one in the
   * same chunk are lost: who breaks the format has no claim to be heard.
   */
  push(chunk: Buffer): Frame[] {
    if (this.#refusal !== null) throw this.#refusal
    const frames: Frame[] = []
    try {
      const rest = this.#large === null ? chunk : this.#fill(this.#large, chunk, frames)
      if (rest.length > 0) {
        this.#chunks.push(rest)
        this.#available += rest.length
        this.#readAll(frames)
      }
      return frames
    } catch (error) {
      this.#chunks = []
      if (error instanceof SavepointError) this.#refusal = error
      throw error
    }
  }

  #readAll(frames: Frame[]): void {
    for (;;) {
      if (this.#frameBytes === null) {
        if (this.#available < LENGTH_BYTES) return
        this.#frameBytes = this.#checkedLength(this.#take(LENGTH_BYTES).readUInt32BE(0))
      }
      if (this.#available < this.#frameBytes) {
        if (this.#frameBytes >= LARGE_BYTES && this.#available > LENGTH_BYTES) {
          this.#checkBeginning(this.#frameBytes)
          this.#beginLarge(this.#frameBytes)
        }
        return
      }
      const body = this.#take(this.#frameBytes)
      this.#frameBytes = null
      frames.push(parseBody(body))
    }
  }

  #beginLarge(frameBytes: number): void {
    this.#large = Buffer.allocUnsafeSlow(frameBytes)
    this.#filled = 0
    for (const chunk of this.#chunks) this.#filled += chunk.copy(this.#large, this.#filled)
    this.#chunks = []
    this.#available = 0
    this.#frameBytes = null
  }

  /** What remains of `chunk` behind the large frame; the frame is added to `frames` when it is whole. */
  #fill(large: Buffer, chunk: Buffer, frames: Frame[]): Buffer {
    const count = chunk.copy(large, this.#filled)
    this.#filled += count
    if (this.#filled === large.length) {
      this.#large = null
      frames.push(parseBody(large))
    }
    return chunk.subarray(count)
  }

  /** Stray bytes may announce gigabytes that never come: what is large must look like a frame before it is waited for. */
  #checkBeginning(frameBytes: number): void {
    const beginning = Buffer.concat(this.#chunks, this.#available)
    const envelopeBytes = beginning.readUInt32BE(0)
    if (envelopeBytes > Math.min(ENVELOPE_BYTES_MAX, frameBytes) || !OPENINGS.includes(beginning[LENGTH_BYTES] ?? 0)) {
      throw refusal('does not begin like one', { frameBytes })
    }
  }

  #checkedLength(frameBytes: number): number {
    if (frameBytes < LENGTH_BYTES) throw refusal('is shorter than its own head', { frameBytes })
    if (frameBytes > this.#frameBytesMax) throw refusal('is longer than allowed', { frameBytes })
    return frameBytes
  }

  /** The next `count` bytes, which are there, as a view of one chunk. */
  #take(count: number): Buffer {
    let first = this.#chunks[0] ?? Buffer.alloc(0)
    if (first.length < count) {
      // Only the newest chunk can reach beyond `count` (else it would have been taken earlier), so no byte is joined
      // more than twice: once as the end of one frame's chunk, once as the beginning of the next frame.
      first = Buffer.concat(this.#chunks, this.#available)
      this.#chunks = [first]
    }
    if (first.length === count) this.#chunks.shift()
    else this.#chunks[0] = first.subarray(count)
    this.#available -= count
    return first.subarray(0, count)
  }
}

function parseBody(body: Buffer): Frame {
  const start = LENGTH_BYTES + body.readUInt32BE(0)
  if (start > body.length) throw refusal('has an envelope that is longer than the frame', { frameBytes: body.length })
  const { parts: lengths = [], ...envelope } = parseEnvelope(body.subarray(LENGTH_BYTES, start))
  if (!Array.isArray(lengths)) throw refusal('does not list the lengths of its parts', { kind: envelope.kind })
  const parts: Buffer[] = []
  let offset = start
  for (const length of lengths) {
    if (!Number.isSafeInteger(length) || length < 0 || length > body.length - offset) {
      throw refusal('has parts that do not add up to its length', { kind: envelope.kind })
    }
    parts.push(body.subarray(offset, (offset += length)))
  }
  if (offset !== body.length) throw refusal('has parts that do not add up to its length', { kind: envelope.kind })
  return { envelope, parts }
}

function parseEnvelope(bytes: Buffer): Envelope & { readonly parts?: unknown } {
  const text = bytes.toString('utf8')
  // Decoding replaces what is no UTF-8 by U+FFFD, which may also stand there by right: only then look twice.
  if (text.includes('\ufffd') && !Buffer.from(text).equals(bytes)) throw refusal('has an envelope that is no UTF-8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, which may be cell output.
    throw refusal('has an envelope that is no JSON')
  }
  if (!isEnvelope(value)) throw refusal('has an envelope that is no object with a kind')
  return value
}

function isEnvelope(value: unknown): value is Envelope {
  return typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string'
}

function refusal(what: string, details: Readonly<Record<string, unknown>> = {}): SavepointError {
  return new SavepointError(
    'LINK_BAD_FRAME',
    `A frame on the link ${what}; the connection cannot be used further.`,
    details,
  )
}
