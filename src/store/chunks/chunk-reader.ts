/** Reading chunks out of packs, each checked against its digest. */

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { SavepointError } from '../../errors.js'
import { CODECS, type Digest, type Place } from './chunk.js'
import { errnoOf, readAt } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { damaged } from './sealed-end.js'

const unpack = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate)

/** Keeps a few packs open between reads; not to be used by two at once. */
export class ChunkReader {
  /** In the order in which they were last used. */
  readonly #packs = new Map<string, FileHandle>()

  /** The raw bytes of a chunk. Throws `damaged_checkpoint` (not what the digest says, or gone), or a file's error. */
  async read(digest: Digest, place: Place): Promise<Buffer> {
    return (await this.readBoth(digest, place)).raw
  }

  /** The same, and the bytes as they lie in the pack. */
  async readBoth(digest: Digest, place: Place): Promise<{ readonly raw: Buffer; readonly stored: Buffer }> {
    const stored = await this.#readStored(place)
    const raw = place.codec === CODECS.raw ? stored : await unpacked(stored, place)
    if (raw.length !== place.raw) throw wrong(place)
    if (createHash('sha256').update(raw).digest('hex') !== digest) throw wrong(place)
    return { raw, stored }
  }

  async #readStored(place: Place): Promise<Buffer> {
    if (place.raw > storeLimits.chunkBytesMax || place.stored > storeLimits.storedBytesMax) throw wrong(place)
    const bytes = await readAt(await this.#pack(place.pack), place.offset, place.stored)
    if (bytes.length < place.stored) throw wrong(place)
    return bytes
  }

  async close(): Promise<void> {
    for (const handle of this.#packs.values()) await handle.close()
    this.#packs.clear()
  }

  async #pack(path: string): Promise<FileHandle> {
    const known = this.#packs.get(path)
    const handle = known ?? (await openPack(path))
    this.#packs.delete(path)
    this.#packs.set(path, handle)
    if (this.#packs.size > storeLimits.openPacksMax) {
      for (const [oldest, old] of this.#packs) {
        this.#packs.delete(oldest)
        await old.close()
        break
      }
    }
    return handle
  }
}

/** Gives a reader to `work` and closes it afterwards. */
export async function withReader<T>(work: (reader: ChunkReader) => Promise<T>): Promise<T> {
  const reader = new ChunkReader()
  try {
    return await work(reader)
  } finally {
    await reader.close()
  }
}

async function openPack(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ELOOP')
      throw damaged('a pack of it is missing', { pack: path })
    throw error
  }
}

async function unpacked(bytes: Buffer, place: Place): Promise<Buffer> {
  try {
    // One byte more than promised would be an error of zlib's.
    return await unpack(bytes, { maxOutputLength: Math.max(place.raw, 1) })
  } catch (error) {
    if (error instanceof SavepointError) throw error
    throw wrong(place)
  }
}

function wrong(place: Place): SavepointError {
  return damaged('a chunk of it is not what its digest says', { pack: place.pack, offset: place.offset })
}
