/**
 * Taking in a checkpoint that was exported: here, or from a data folder whose key is trusted by name. What is taken in
 * is signed anew, with this folder's key and for the owner that asked; restoring runs code that it holds, so that
 * nothing is taken in that nobody vouches for.
 */

import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { SavepointError } from '../../errors.js'
import { MAGIC_1, verifyFile, writersPart } from './checkpoint-file.js'
import { loadTrustedKey, type CheckpointKey } from './checkpoint-key.js'
import { isAutomatic, newCheckpointId, type CheckpointRecord, type Label } from './checkpoint-record.js'
import { placesOf, Walk } from './checkpoint-tree.js'
import { eitherOf, type Place, type Places } from '../chunks/chunk.js'
import { placesIn } from '../chunks/chunk-index.js'
import { withReader } from '../chunks/chunk-reader.js'
import { readAt, removeQuietly, sectionOf, withNew, writeAt, writeNew } from '../durable-files.js'
import { EXPORT_LENGTH_BYTES, EXPORT_MAGIC } from './exporting.js'
import { storeLimits } from '../limits.js'
import { manifestBytes, verifyManifest } from './manifest-file.js'
import { verifyPack } from '../chunks/pack-file.js'
import { writePack } from '../chunks/pack-writer.js'
import { damaged, withPlainFile } from '../chunks/sealed-end.js'
import { draftBytes, requireRoom } from './retention.js'
import { sealDraft, type Draft } from './sealing.js'
import { CHECKPOINT_SUFFIX, storageFailure, type Shelf, type Stocked } from './shelf.js'

/** The path of a file, all of it, or a stream of it. */
export type ImportSource = string | Buffer | Readable

export interface ImportOptions {
  /** Whose it will be. */
  readonly owner: string
  /** The name of a key in `keys/trusted` of the data folder; null: only this folder's own. */
  readonly trust: string | null
  /** Whose kernel it will count as; null: as it was. */
  readonly kernelId: string | null
  /** Bytes that it may have at most. */
  readonly bytesMax: number
  /** Bytes that the owner's checkpoints may take in all; 0: any number. */
  readonly quotaBytes: number
}

/**
 * Throws `foreign_checkpoint` (the key that signed it is not trusted, or another owner's), `damaged_checkpoint`,
 * `format_unsupported`, `too_large`, `quota_exceeded`, `storage_failed`.
 */
export async function importCheckpoint(
  stocked: Stocked,
  source: ImportSource,
  options: ImportOptions,
): Promise<CheckpointRecord> {
  const { shelf } = stocked
  const stem = join(shelf.unfinishedFolder, newCheckpointId())
  const received = `${stem}.import`
  const path = typeof source === 'string' ? source : received
  try {
    if (typeof source !== 'string') await writeNew(received, bounded(source, options.bytesMax))
    const key = await keyFor(shelf, options.trust)
    return await withPlainFile(path, constants.O_RDONLY, async (handle) => {
      const { size } = await handle.stat()
      if (size > options.bytesMax) throw tooLarge(options.bytesMax)
      const magic = await readAt(handle, 0, MAGIC_1.length)
      if (magic.equals(MAGIC_1)) return await importFirstFormat(stocked, handle, stem, key, options)
      if (magic.equals(EXPORT_MAGIC)) return await importSecondFormat(stocked, handle, path, stem, key, options)
      throw damaged('it does not begin like an export')
    })
  } catch (error) {
    throw storageFailure(error, path)
  } finally {
    await removeQuietly(received)
  }
}

async function importFirstFormat(
  stocked: Stocked,
  handle: FileHandle,
  stem: string,
  key: CheckpointKey,
  options: ImportOptions,
): Promise<CheckpointRecord> {
  const { label } = await verifyFile(handle, key)
  requireOwner(label, key, stocked.shelf, options)
  const length = await writersPart(handle)
  return await sealing(stocked, stem, label, options, async ({ path }) => {
    await withNew(path, async (draft) => {
      for (let at = 0; at < length;) {
        const piece = await readAt(handle, at, Math.min(storeLimits.readBytes, length - at))
        if (piece.length === 0) throw damaged('it became shorter while it was read')
        await writeAt(draft, at, piece)
        at += piece.length
      }
    })
  })
}

async function importSecondFormat(
  stocked: Stocked,
  handle: FileHandle,
  path: string,
  stem: string,
  key: CheckpointKey,
  options: ImportOptions,
): Promise<CheckpointRecord> {
  const { size } = await handle.stat()
  const headBytes = EXPORT_MAGIC.length + EXPORT_LENGTH_BYTES
  if (size < headBytes) throw damaged('it is too short')
  const length = Number((await readAt(handle, EXPORT_MAGIC.length, EXPORT_LENGTH_BYTES)).readBigUInt64BE())
  const packAt = headBytes + length
  if (length > storeLimits.rootBytesMax * 2 || packAt > size) throw damaged('its manifest is malformed')
  const { label, root, rootBytes } = await verifyManifest(sectionOf(handle, headBytes, length), key)
  requireOwner(label, key, stocked.shelf, options)
  const pack = await verifyPack(sectionOf(handle, packAt, size - packAt), key)
  // A pack of one tenant's is not put under another's manifest.
  if (pack.label.owner !== label.owner) throw damaged('its pack belongs to another checkpoint')
  const there = new Map(
    pack.entries.map((entry): [string, Place] => [
      entry.digest,
      { ...entry, pack: path, offset: packAt + entry.offset },
    ]),
  )
  return await withReader(async (reader) => {
    const walk = new Walk(only(there), reader)
    await walk.add(root)
    const { found, missing } = await placesOf(walk.digests, only(there))
    if (missing.length > 0) throw damaged('some of its data is missing', { chunks: missing.length })
    const own = placesIn(stocked.database, stocked.shelf.packsFolder, options.owner)
    const write = async (draft: Draft, all: boolean): Promise<void> => {
      await removeQuietly(draft.pack)
      const known = all ? new Map<string, Place>() : (await placesOf(found.keys(), own)).found
      const added = [...found].filter(([digest]) => !known.has(digest))
      // Those that are here already are read as well: what is damaged is not taken in.
      for (const [digest, place] of found) if (known.has(digest)) await reader.read(digest, place)
      if (added.length > 0) await withNew(draft.pack, (file) => writePack(file, added, reader))
      await withNew(draft.path, (file) => writeAt(file, 0, manifestBytes(rootBytes)))
    }
    return await sealing(stocked, stem, label, options, write)
  })
}

/** Only what is in the file itself. */
function only(places: ReadonlyMap<string, Place>): Places {
  return eitherOf(places, { find: () => Promise.resolve(new Map()) })
}

/** Writes a draft and seals it; once more, and all of it, if chunks that were here are collected meanwhile. */
async function sealing(
  stocked: Stocked,
  stem: string,
  label: Label,
  options: ImportOptions,
  write: (draft: Draft, all: boolean) => Promise<void>,
): Promise<CheckpointRecord> {
  const draft = { path: stem + CHECKPOINT_SUFFIX, pack: `${stem}.pack` }
  const taken = takenIn(label, stem.slice(stem.lastIndexOf('cp_')), options)
  try {
    await write(draft, false)
    await requireRoom(stocked, options.owner, options.quotaBytes, await draftBytes(draft))
    try {
      return await sealDraft(stocked, draft, taken, () => true)
    } catch (error) {
      if (!(error instanceof SavepointError) || error.details?.['retry'] !== true) throw error
    }
    await removeQuietly(draft.path)
    await write(draft, true)
    return await sealDraft(stocked, draft, taken, () => true)
  } finally {
    await removeQuietly(draft.path)
    await removeQuietly(draft.pack)
  }
}

function takenIn(label: Label, checkpoint_id: string, { owner, kernelId }: ImportOptions): Label {
  // What somebody took in on purpose is not removed by the rules for automatic ones.
  const note = label.note !== null && isAutomatic(label) ? `imported; was ${label.note}` : label.note
  const place = { parent_id: null, kernel_id: kernelId ?? label.kernel_id, pack: null, pack_bytes: 0 }
  return { ...label, ...place, note, checkpoint_id, owner }
}

async function keyFor({ keysFolder, key }: Shelf, trust: string | null): Promise<CheckpointKey> {
  if (trust === null) return key
  const trusted = await loadTrustedKey(keysFolder, trust)
  if (trusted) return trusted
  throw new SavepointError(
    'foreign_checkpoint',
    `No key is trusted by the name ${JSON.stringify(trust)}. Who runs this gateway puts it into keys/trusted of the data folder.`,
    { trust },
  )
}

/** A signature of this folder's speaks for its owner alone; a key that was trusted by name, for all that it signed. */
function requireOwner(label: Label, key: CheckpointKey, { key: own }: Shelf, { owner }: ImportOptions): void {
  if (key.id !== own.id || label.owner === owner) return
  const message = 'The checkpoint belongs to somebody else. Restoring it would run their code.'
  throw new SavepointError('foreign_checkpoint', message)
}

async function* bounded(source: Buffer | Readable, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0
  const pieces: AsyncIterable<Buffer> | Buffer[] = Buffer.isBuffer(source) ? [source] : source
  for await (const piece of pieces) {
    bytes += piece.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    yield piece
  }
}

function tooLarge(bytesMax: number): SavepointError {
  const message = `An import has ${bytesMax} bytes at most. Take in a smaller one.`
  return new SavepointError('too_large', message, { bytes_max: bytesMax })
}
