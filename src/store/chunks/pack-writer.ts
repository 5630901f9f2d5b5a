/** Writing a pack of chunks that were read elsewhere: of an import, or of packs that are rewritten. */

import type { FileHandle } from 'node:fs/promises'
import type { Digest, Place } from './chunk.js'
import type { ChunkReader } from './chunk-reader.js'
import { writeAt } from '../durable-files.js'
import { PACK_MAGIC, tableOf, type PackEntry } from './pack-file.js'

/** Copies chunks as they lie, each checked; what a writer would leave is then in the file. Throws `damaged_checkpoint`. */
export async function writePack(
  handle: FileHandle,
  chunks: Iterable<readonly [Digest, Place]>,
  reader: ChunkReader,
): Promise<readonly PackEntry[]> {
  await writeAt(handle, 0, PACK_MAGIC)
  let offset = PACK_MAGIC.length
  const entries: PackEntry[] = []
  for (const [digest, place] of inOrder(chunks)) {
    const { stored } = await reader.readBoth(digest, place)
    await writeAt(handle, offset, stored)
    entries.push({ digest, offset, stored: stored.length, raw: place.raw, codec: place.codec })
    offset += stored.length
  }
  await writeAt(handle, offset, tableOf(entries))
  return entries
}

/** As they lie on the disk. */
export function inOrder(chunks: Iterable<readonly [Digest, Place]>): (readonly [Digest, Place])[] {
  return [...chunks].toSorted(([, a], [, b]) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1))
}
