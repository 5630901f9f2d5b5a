/**
 * A checkpoint as one file, to be taken elsewhere:
 *
 *     "SVPX1\n\0\0"
 *     u64 BE length of the manifest's file, the manifest's file as it is kept
 *     a pack of all chunks that it needs
 *
 * Both are signed as they would be in the folder. One of the first format is its own file.
 */

import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { SavepointError } from '../../errors.js'
import { placesOf, Walk } from './checkpoint-tree.js'
import { placesIn } from '../chunks/chunk-index.js'
import { ChunkReader, withReader } from '../chunks/chunk-reader.js'
import { storeLimits } from '../limits.js'
import { verified } from './opening.js'
import { newPackId, PACK_MAGIC, packTail, type PackEntry } from '../chunks/pack-file.js'
import { inOrder } from '../chunks/pack-writer.js'
import { damaged } from '../chunks/sealed-end.js'
import type { Stocked } from './shelf.js'

export const EXPORT_MAGIC = Buffer.from('SVPX1\n\0\0', 'latin1')
export const EXPORT_LENGTH_BYTES = 8

export interface Export {
  /** Of the whole file. */
  readonly bytes: number
  /** To be read once. Throws `damaged_checkpoint` where a chunk is not what it should be. */
  readonly pieces: AsyncGenerator<Buffer>
}

/** Throws as `verified` does, and `damaged_checkpoint` where something that it needs is missing. */
export async function prepareExport(stocked: Stocked, id: string, owner: string | null): Promise<Export> {
  const { shelf, database } = stocked
  const found = await verified(shelf, id, owner)
  const { label, fileBytes } = found.contents
  if (found.format === 1) return { bytes: fileBytes, pieces: piecesOfFile(found.path) }
  const { root } = found.contents
  const places = placesIn(database, shelf.packsFolder, label.owner)
  const digests = await withReader(async (reader) => {
    const walk = new Walk(places, reader)
    await walk.add(root)
    return walk.digests
  })
  const { found: lying, missing } = await placesOf(digests, places)
  if (missing.length > 0) throw damaged('some of its data is missing', { checkpoint: id, chunks: missing.length })
  const chunks = inOrder(lying)
  const entries: PackEntry[] = []
  let offset = PACK_MAGIC.length
  for (const [digest, { stored, raw, codec }] of chunks) {
    entries.push({ digest, offset, stored, raw, codec })
    offset += stored
  }
  const manifest = await readFile(found.path)
  const length = Buffer.alloc(EXPORT_LENGTH_BYTES)
  length.writeBigUInt64BE(BigInt(manifest.length))
  const packLabel = { pack_id: newPackId(), owner: label.owner, created_at: label.created_at }
  const head = Buffer.concat([EXPORT_MAGIC, length, manifest, PACK_MAGIC])
  const tail = packTail(entries, packLabel, shelf.key)
  async function* pieces(): AsyncGenerator<Buffer> {
    yield head
    yield* chunksOf(chunks)
    yield tail
  }
  return { bytes: head.length + offset - PACK_MAGIC.length + tail.length, pieces: pieces() }
}

async function* chunksOf(chunks: ReturnType<typeof inOrder>): AsyncGenerator<Buffer> {
  const reader = new ChunkReader()
  try {
    for (const [digest, place] of chunks) yield (await reader.readBoth(digest, place)).stored
  } finally {
    await reader.close()
  }
}

async function* piecesOfFile(path: string): AsyncGenerator<Buffer> {
  for await (const piece of createReadStream(path, { highWaterMark: storeLimits.readBytes })) yield piece as Buffer
}

/** The whole of a small one. Throws `too_large`. */
export async function exportInMemory({ bytes, pieces }: Export, bytesMax: number): Promise<Buffer> {
  if (bytes > bytesMax) {
    await pieces.return(undefined)
    const message = `The checkpoint has ${bytes} bytes as a file; ${bytesMax} fit into a message. Download it by HTTP.`
    throw new SavepointError('too_large', message, { bytes, bytes_max: bytesMax })
  }
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}
