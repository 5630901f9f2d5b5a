/**
 * Walking a checkpoint's tree: which chunks it needs. Only what must be is read: the lists of chunks below large
 * references, and the list of variables, whose lines refer to what the variables hold.
 */

import { refsIn, type Ref, type Root } from './checkpoint-root.js'
import { DIGEST_BYTES, type Digest, type Place, type Places } from '../chunks/chunk.js'
import type { ChunkReader } from '../chunks/chunk-reader.js'
import { storeLimits } from '../limits.js'
import { damaged } from '../chunks/sealed-end.js'
import { yieldTurn } from '../turns.js'

interface Chunk {
  readonly digest: Digest
  /** Of its raw bytes. */
  readonly size: number
  read(): Promise<Buffer>
}

/** What walks of several trees have in common: a chunk that was looked into once is not looked into again. */
export class Walk {
  /** Every chunk that was met. */
  readonly digests = new Set<Digest>()
  /** Lists that were to be read and lie nowhere; a walk ends at the first. */
  listsMissing = 0
  /** Lists, by level and digest, and whole pieces of lists of variables. */
  readonly #seen = new Set<string>()
  readonly #places: Places
  readonly #reader: ChunkReader

  constructor(places: Places, reader: ChunkReader) {
    this.#places = places
    this.#reader = reader
  }

  /** Throws `damaged_checkpoint` when a chunk that had to be read is missing or damaged. */
  async add(root: Root): Promise<void> {
    for (const ref of root.others) await this.#addRef(ref)
    if (root.history) await this.#addRef(root.history)
    if (root.variables) await this.#addVariables(root.variables)
  }

  /** Content, line by line; `lines` are those that end in one chunk. Throws `damaged_checkpoint`. */
  async *lines(ref: Ref): AsyncGenerator<string[]> {
    for await (const { lines } of this.#pieces(ref, () => false)) yield lines()
  }

  async #addVariables(ref: Ref): Promise<void> {
    await this.#addRef(ref)
    // Lines are cut with the chunks, so that nearly all of a list was seen with an earlier checkpoint.
    const wasSeen = (digest: Digest): boolean => this.#seen.has(`lines ${digest}`)
    for await (const { digest, whole, lines } of this.#pieces(ref, wasSeen)) {
      for (const line of lines()) {
        for (const inner of refsIn(parsedLine(line))) await this.#addRef(inner)
      }
      if (whole) this.#seen.add(`lines ${digest}`)
    }
  }

  async #addRef(ref: Ref): Promise<void> {
    await this.#addLevel(ref.chunks, ref.depth)
  }

  async #addLevel(digests: readonly Digest[], depth: number): Promise<void> {
    for (const digest of digests) this.digests.add(digest)
    if (depth === 0) return
    const left = digests.filter((digest) => !this.#seen.has(`${depth} ${digest}`))
    for await (const { digest, read } of this.#chunks(left)) {
      await this.#addLevel(listOf(await read()), depth - 1)
      this.#seen.add(`${depth} ${digest}`)
    }
  }

  /** The chunks of content; `whole`: lines begin and end with it. Those that are left out are not read. */
  async *#pieces(
    ref: Ref,
    isLeftOut: (digest: Digest) => boolean,
  ): AsyncGenerator<{ digest: Digest; whole: boolean; lines: () => string[] }> {
    if (ref.bytes > storeLimits.variablesBytesMax) throw damaged('the list of its variables is too long')
    let begun: Buffer[] = []
    let begunBytes = 0
    let bytesLeft = ref.bytes
    for await (const { digest, size, read } of this.#contentOf(ref)) {
      bytesLeft -= size
      if (bytesLeft < 0) break
      if (begunBytes === 0 && isLeftOut(digest)) continue
      const bytes = await read()
      const end = bytes.lastIndexOf(NEWLINE) + 1
      const before = begun
      yield {
        digest,
        whole: digest !== '' && before.length === 0 && end === bytes.length,
        lines: () => linesOf(Buffer.concat([...before, bytes.subarray(0, end)])),
      }
      const rest = bytes.subarray(end)
      begun = end === 0 ? [...before, rest] : rest.length === 0 ? [] : [rest]
      begunBytes = end === 0 ? begunBytes + rest.length : rest.length
      if (begunBytes > storeLimits.lineBytesMax) throw damaged('a line of it is too long')
    }
    if (bytesLeft !== 0) throw damaged('a list in it does not have the length that it should')
    if (begunBytes > 0) yield { digest: '', whole: false, lines: () => [Buffer.concat(begun).toString('utf8')] }
  }

  async *#contentOf({ inline, chunks, depth }: Omit<Ref, 'bytes'>): AsyncGenerator<Chunk> {
    // What stands in the reference has no digest, and is never taken for a chunk that was seen.
    if (inline) yield { digest: '', size: inline.length, read: () => Promise.resolve(inline) }
    for await (const chunk of this.#chunks(chunks)) {
      if (depth === 0) yield chunk
      else yield* this.#contentOf({ inline: null, chunks: listOf(await chunk.read()), depth: depth - 1 })
    }
  }

  async *#chunks(digests: readonly Digest[]): AsyncGenerator<Chunk> {
    for (let from = 0; from < digests.length; from += storeLimits.chunksAtOnce) {
      const some = digests.slice(from, from + storeLimits.chunksAtOnce)
      const places = await this.#places.find(some)
      for (const digest of some) {
        const place = places.get(digest)
        if (!place) {
          this.listsMissing += 1
          throw damaged('a part of its list of contents is missing')
        }
        yield { digest, size: place.raw, read: () => this.#reader.read(digest, place) }
      }
    }
  }
}

/** Where all of `digests` lie, and those that lie nowhere. */
export async function placesOf(
  digests: Iterable<Digest>,
  places: Places,
): Promise<{ found: Map<Digest, Place>; missing: Digest[] }> {
  const found = new Map<Digest, Place>()
  const missing: Digest[] = []
  const all = [...digests]
  for (let from = 0; from < all.length; from += storeLimits.chunksAtOnce) {
    const some = all.slice(from, from + storeLimits.chunksAtOnce)
    const lying = await places.find(some)
    for (const digest of some) {
      const place = lying.get(digest)
      if (place) found.set(digest, place)
      else missing.push(digest)
    }
    await yieldTurn()
  }
  return { found, missing }
}

const NEWLINE = 0x0a

function linesOf(bytes: Buffer): string[] {
  return bytes.toString('utf8').split('\n').slice(0, -1)
}

function listOf(bytes: Buffer): Digest[] {
  if (bytes.length % DIGEST_BYTES !== 0) throw damaged('a list of its chunks is malformed')
  const hex = bytes.toString('hex')
  return Array.from({ length: bytes.length / DIGEST_BYTES }, (_, index) =>
    hex.slice(index * DIGEST_BYTES * 2, (index + 1) * DIGEST_BYTES * 2),
  )
}

export function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    throw damaged('a line of its list of contents is malformed')
  }
}
