/** Opening a checkpoint: what a worker is given to read, verified as far as it can be without its data. */

import { constants } from 'node:fs'
import { SavepointError } from '../../errors.js'
import { MAGIC_1, verifyFile } from './checkpoint-file.js'
import { recordOf, type CheckpointRecord, type Contents } from './checkpoint-record.js'
import { placesOf, Walk } from './checkpoint-tree.js'
import { DIGEST_BYTES, type Digest, type Place } from '../chunks/chunk.js'
import { placesIn } from '../chunks/chunk-index.js'
import { withReader } from '../chunks/chunk-reader.js'
import { errnoOf, readAt } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { verifyManifest, type ManifestContents } from './manifest-file.js'
import { withPlainFile } from '../chunks/sealed-end.js'
import { checkpointPath, exists, storageFailure, unknown, type Shelf, type Stocked } from './shelf.js'
import { yieldTurn } from '../turns.js'

/** What a restore needs. */
export interface OpenedCheckpoint {
  readonly record: CheckpointRecord
  readonly format: 1 | 2
  /** The file of the first format; of the second, the manifest. */
  readonly path: string
  /** The packs that `map` speaks of, by its numbers. */
  readonly packs: readonly string[]
  /** The root as the writer wrote it; null: the file of the first format holds all. */
  readonly root: Buffer | null
  /** 51 bytes for each chunk: 32 digest, u16 BE pack, u64 BE offset, u32 BE stored, u32 BE raw, u8 codec. */
  readonly map: Buffer | null
  /** Chunks that are nowhere: variables that need them cannot be restored. */
  readonly missing: number
}

/** A checkpoint whose file is what was once sealed. */
export type Verified =
  | { readonly format: 1; readonly path: string; readonly contents: Contents }
  | { readonly format: 2; readonly path: string; readonly contents: ManifestContents }

/**
 * Reads a checkpoint's file and checks its signature, and whose it is (`owner` null: anybody's). Throws
 * `unknown_checkpoint`, `damaged_checkpoint`, `foreign_checkpoint`, `format_unsupported`, `storage_failed`.
 */
export async function verified(shelf: Shelf, id: string, owner: string | null): Promise<Verified> {
  const path = checkpointPath(shelf, id)
  try {
    const found = await withPlainFile(path, constants.O_RDONLY, async (handle): Promise<Verified> => {
      const isFirst = (await readAt(handle, 0, MAGIC_1.length)).equals(MAGIC_1)
      if (isFirst) return { format: 1, path, contents: await verifyFile(handle, shelf.key) }
      return { format: 2, path, contents: await verifyManifest(handle, shelf.key) }
    })
    const { label } = found.contents
    // The signature covers the id, so that one checkpoint cannot be put in the place of another.
    if (label.checkpoint_id !== id) {
      const message = 'The checkpoint is damaged: its file has the name of another one. Restore another one.'
      throw new SavepointError('damaged_checkpoint', message)
    }
    if (owner !== null && label.owner !== owner) {
      const message = 'The checkpoint belongs to somebody else. List the checkpoints to see those that are yours.'
      throw new SavepointError('foreign_checkpoint', message)
    }
    return found
  } catch (error) {
    throw naming(id, errnoOf(error) === 'ENOENT' ? unknown(id) : storageFailure(error, path))
  }
}

/** Throws as `verified` does, and `damaged_checkpoint` when the list of what it holds cannot be read. */
export async function openCheckpoint(stocked: Stocked, id: string, owner: string | null): Promise<OpenedCheckpoint> {
  const found = await verified(stocked.shelf, id, owner)
  const record = recordOf(found.contents)
  const { path, format } = found
  if (found.format === 1) return { record, format: 1, path, packs: [], root: null, map: null, missing: 0 }
  const { root, rootBytes, label } = found.contents
  const places = placesIn(stocked.database, stocked.shelf.packsFolder, label.owner)
  try {
    const digests = await withReader(async (reader) => {
      const walk = new Walk(places, reader)
      await walk.add(root)
      return walk.digests
    })
    const { found: lying, missing } = await placesOf(digests, places)
    const { packs, map, lost } = await mapOf(lying)
    return { record, format, path, packs, root: rootBytes, map, missing: missing.length + lost }
  } catch (error) {
    throw naming(id, storageFailure(error, path))
  }
}

/** Chunks of packs that are not there are left out, and counted as `lost`. */
async function mapOf(places: ReadonlyMap<Digest, Place>): Promise<{ packs: string[]; map: Buffer; lost: number }> {
  const numbers = new Map<string, number | null>()
  const packs: string[] = []
  const map = Buffer.alloc(places.size * RECORD_BYTES)
  let at = 0
  let lost = 0
  let count = 0
  for (const [digest, { pack, offset, stored, raw, codec }] of places) {
    if ((count += 1) % storeLimits.chunksAtOnce === 0) await yieldTurn()
    let number = numbers.get(pack)
    if (number === undefined) {
      number = (await exists(pack)) ? packs.push(pack) - 1 : null
      numbers.set(pack, number)
    }
    if (number === null) {
      lost += 1
      continue
    }
    map.write(digest, at, 'hex')
    map.writeUInt16BE(number, at + 32)
    map.writeBigUInt64BE(BigInt(offset), at + 34)
    map.writeUInt32BE(stored, at + 42)
    map.writeUInt32BE(raw, at + 46)
    map.writeUInt8(codec, at + 50)
    at += RECORD_BYTES
  }
  return { packs, map: map.subarray(0, at), lost }
}

const RECORD_BYTES = DIGEST_BYTES + 19

/** The same error, saying which checkpoint it is about. */
function naming(id: string, error: SavepointError): SavepointError {
  return new SavepointError(error.code, error.message, { ...error.details, checkpoint: id }, { cause: error })
}
