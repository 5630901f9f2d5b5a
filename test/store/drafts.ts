/** What a writer leaves of the second format: a manifest, and a pack of the chunks that were not known. */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { CODECS, type Digest } from '../../src/store/chunks/chunk.js'
import type { Reservation } from '../../src/store/checkpoints/checkpoint-requests.js'
import { MAGIC_2 } from '../../src/store/checkpoints/manifest-file.js'
import { PACK_MAGIC, tableOf, type PackEntry } from '../../src/store/chunks/pack-file.js'
import type { Store } from '../../src/store/store.js'
import { FACTS } from './support.js'

const CHUNK_BYTES = 256 * 1024

/** Variables by their names; a number stands for an array of so many bytes that no other has. */
export type Variables = Readonly<Record<string, Buffer | string>>

export interface DraftOptions {
  readonly history?: readonly (readonly [number, string])[]
  /** Most chunks of a reference that is no list of lists. */
  readonly inlineMax?: number
  readonly chunkBytes?: number
  /** Content up to so many bytes stands in its reference. */
  readonly inlineBytesMax?: number
}

interface Ref {
  readonly bytes: number
  readonly chunks: readonly Digest[]
  readonly depth?: number
  readonly inline?: string
}

/** Gathers chunks as a writer does. */
export class DraftMaker {
  readonly #known: ReadonlySet<Digest>
  readonly #options: DraftOptions
  readonly #stored: Buffer[] = [PACK_MAGIC]
  readonly #entries = new Map<Digest, PackEntry>()
  #offset = PACK_MAGIC.length
  totalBytes = 0

  constructor(known: ReadonlySet<Digest>, options: DraftOptions = {}) {
    this.#known = known
    this.#options = options
  }

  chunk(raw: Buffer): Digest {
    const digest = createHash('sha256').update(raw).digest('hex')
    if (this.#known.has(digest) || this.#entries.has(digest)) return digest
    const packed = deflateSync(raw, { level: 1 })
    const smaller = packed.length < raw.length
    const stored = smaller ? packed : raw
    const codec = smaller ? CODECS.zlib : CODECS.raw
    const place = { offset: this.#offset, stored: stored.length, raw: raw.length, codec }
    this.#entries.set(digest, { digest, ...place })
    this.#stored.push(stored)
    this.#offset += stored.length
    return digest
  }

  ref(content: Buffer): Ref {
    const { chunkBytes = CHUNK_BYTES, inlineMax = 128 } = this.#options
    const pieces: Buffer[] = []
    for (let at = 0; at < content.length; at += chunkBytes) pieces.push(content.subarray(at, at + chunkBytes))
    return this.#refOf(pieces, content.length, inlineMax)
  }

  /** Lines that are cut with the chunks. */
  lineRef(pieces: readonly (readonly unknown[])[]): Ref {
    const chunks = pieces.map((lines) => Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    return this.#refOf(chunks, bytes, this.#options.inlineMax ?? 128)
  }

  #refOf(pieces: readonly Buffer[], bytes: number, inlineMax: number): Ref {
    this.totalBytes += bytes
    if (bytes <= (this.#options.inlineBytesMax ?? 0)) {
      return { bytes, chunks: [], inline: Buffer.concat(pieces).toString('base64') }
    }
    let chunks = pieces.map((piece) => this.chunk(piece))
    let depth = 0
    while (chunks.length > inlineMax) {
      const list = Buffer.from(chunks.join(''), 'hex')
      const perList = 32 * Math.max(inlineMax, 2)
      const lists: Digest[] = []
      for (let at = 0; at < list.length; at += perList) lists.push(this.chunk(list.subarray(at, at + perList)))
      chunks = lists
      depth += 1
    }
    return depth === 0 ? { bytes, chunks } : { bytes, depth, chunks }
  }

  /** null: every chunk was known. */
  pack(): Buffer | null {
    if (this.#entries.size === 0) return null
    return Buffer.concat([...this.#stored, tableOf([...this.#entries.values()])])
  }
}

/** The two files of a writer. */
export function draftOf(
  variables: Variables,
  known: ReadonlySet<Digest> = new Set(),
  options: DraftOptions = {},
): { manifest: Buffer; pack: Buffer | null } {
  const maker = new DraftMaker(known, options)
  const lines = Object.entries(variables).map(([name, value]) => lineOf(maker, name, value))
  const pieces = lines.map((line) => [line])
  const parts = {
    variables: maker.lineRef(pieces),
    history: maker.lineRef([[...(options.history ?? [[1, 'x = 1']])]]),
    process: { random: maker.ref(Buffer.from('state of random')) },
  }
  const root = {
    format_version: 2,
    python_version: '3.11.7',
    implementation: 'cpython',
    created_at: '2026-01-02T03:04:05Z',
    namespace_size: lines.length,
    function_count: 1,
    class_count: 0,
    execution_count: 5,
    verdicts: { exact: lines.length, equal: 0, rebuilt: 0, replayed: 0, lost: 0 },
    lost: [],
    lost_count: 0,
    anchors: [],
    total_bytes: maker.totalBytes,
    parts,
  }
  return { manifest: manifestOf(root), pack: maker.pack() }
}

export function manifestOf(root: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(root))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([MAGIC_2, length, json])
}

function lineOf(maker: DraftMaker, name: string, value: Buffer | string): unknown {
  const isText = typeof value === 'string'
  const bytes = isText ? Buffer.from(value) : value
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const type = isText ? 'str' : 'numpy.ndarray'
  const preview = isText ? value.slice(0, 40) : null
  const object = { name, type, verdict: 'exact', tier: 'pickle', bytes: bytes.length, reason: null, preview, digest }
  const stream = isText ? bytes : Buffer.from(`array ${bytes.length}`)
  const buffers = isText ? [[]] : [[maker.ref(bytes)]]
  return { objects: [object], streams: [stream.length], stream: maker.ref(stream), buffers }
}

/** What the file of known digests says. */
export function knownIn(path: string | null): Set<Digest> {
  if (path === null || !existsSync(path)) return new Set()
  const hex = readFileSync(path).toString('hex')
  return new Set(hex.match(/.{64}/g) ?? [])
}

/** Writes what a writer would for a reservation. */
export function writeDraft(reservation: Reservation, variables: Variables, options: DraftOptions = {}): void {
  const { manifest, pack } = draftOf(variables, knownIn(reservation.known), options)
  writeFileSync(reservation.path, manifest)
  if (pack) writeFileSync(reservation.pack, pack)
}

/** A checkpoint of the second format from reservation to seal; its id. */
export async function savedOf(
  store: Store,
  variables: Variables,
  request: Partial<Parameters<Store['checkpoints']['begin']>[0]> = {},
  options: DraftOptions = {},
): Promise<string> {
  const reservation = await store.checkpoints.begin({ kernelId: 'kernel-a', name: null, note: null, ...request })
  writeDraft(reservation, variables, options)
  await store.checkpoints.seal(reservation.checkpoint_id, FACTS)
  return reservation.checkpoint_id
}
