/**
 * Sealing: what a writer wrote becomes a checkpoint.
 *
 * Order: the pack is signed, flushed and renamed into place, and the folder flushed; its chunks get their rows; the
 * manifest is signed and flushed; one transaction renames it into place and gives it its row; the folder is flushed.
 * A crash between any two leaves all earlier checkpoints, and this one whole or not at all: a pack without a manifest
 * is swept by a collection, a manifest without a row is taken up at the next start.
 *
 * Another process may collect garbage meanwhile, and with it a chunk that the writer was told to be there. So the
 * transaction also makes sure that nothing was forgotten since the chunks were looked for, and a collection looks at the
 * folder within its own transaction: of the two, one comes first.
 */

import { constants, renameSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { SavepointError } from '../../errors.js'
import { sealFile, MAGIC_1 } from './checkpoint-file.js'
import { putRecord } from './checkpoint-index.js'
import { recordOf, type CheckpointRecord, type Contents, type Label } from './checkpoint-record.js'
import type { Root } from './checkpoint-root.js'
import { placesOf, Walk } from './checkpoint-tree.js'
import { eitherOf, type Place } from '../chunks/chunk.js'
import { packPath, placesIn, putPack } from '../chunks/chunk-index.js'
import { generationOf } from '../chunks/collection-index.js'
import { withReader } from '../chunks/chunk-reader.js'
import { errnoOf, readAt, removeQuietly, syncFolder } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { readDraft, sealManifest } from './manifest-file.js'
import { packIdOf, readDraftPack, sealPack, type PackEntry } from '../chunks/pack-file.js'
import { withPlainFile } from '../chunks/sealed-end.js'
import { checkpointPath, type Stocked } from './shelf.js'

/** What a writer has left to be sealed. */
export interface Draft {
  readonly path: string
  /** Where its pack is, if it wrote one. */
  readonly pack: string
}

/**
 * Makes a checkpoint of a draft. `stillWanted` is asked before it is stored. Throws `damaged_checkpoint` (what was
 * written is none), `cancelled`, `storage_failed` (with `details.retry` where chunks that the writer did not write were
 * collected meanwhile: to be written anew, without what is known), or a file's error.
 */
export async function sealDraft(
  stocked: Stocked,
  draft: Draft,
  label: Label,
  stillWanted: () => boolean,
): Promise<CheckpointRecord> {
  const magic = await withPlainFile(draft.path, constants.O_RDONLY, (handle) => readAt(handle, 0, MAGIC_1.length))
  return magic.equals(MAGIC_1)
    ? await sealFirstFormat(stocked, draft, label, stillWanted)
    : await sealSecondFormat(stocked, draft, label, stillWanted)
}

async function sealFirstFormat(
  { shelf, database }: Stocked,
  draft: Draft,
  label: Label,
  stillWanted: () => boolean,
): Promise<CheckpointRecord> {
  const contents = await withPlainFile(draft.path, constants.O_RDWR, async (handle) => {
    const sealed = await sealFile(handle, label, shelf.key)
    await handle.chmod(0o600)
    await handle.sync()
    return sealed
  })
  requireWanted(stillWanted, label)
  await rename(draft.path, checkpointPath(shelf, label.checkpoint_id))
  await syncFolder(shelf.folder)
  const record = recordOf(contents)
  try {
    await database.write((sql) => putRecord(sql, contents))
  } catch (error) {
    // It is stored by now: an index that fails costs only its place in lists until the next start.
    const reason = error instanceof Error ? error.message : String(error)
    shelf.log('warn', 'checkpoint_not_indexed', { checkpoint: record.checkpoint_id, reason })
  }
  return record
}

async function sealSecondFormat(
  stocked: Stocked,
  draft: Draft,
  given: Label,
  stillWanted: () => boolean,
): Promise<CheckpointRecord> {
  const { shelf } = stocked
  const { root } = await withPlainFile(draft.path, constants.O_RDONLY, readDraft)
  const entries = await draftEntries(draft.pack)
  const generation = await requireChunks(stocked, draft, root, entries, given.owner)
  requireWanted(stillWanted, given)
  const packed = entries ? await storePack(stocked, draft, given, entries) : { pack: null, pack_bytes: 0 }
  const label = { ...given, ...packed }
  const contents = await withPlainFile(draft.path, constants.O_RDWR, async (handle) => {
    const sealed = await sealManifest(handle, label, shelf.key)
    await handle.chmod(0o600)
    await handle.sync()
    return sealed
  })
  requireWanted(stillWanted, given)
  await storeManifest(stocked, draft, root, contents, generation)
  await syncFolder(shelf.folder)
  return recordOf(contents)
}

/** null: no chunk was new, so that no pack was written. */
export async function draftEntries(path: string): Promise<readonly PackEntry[] | null> {
  try {
    return await withPlainFile(path, constants.O_RDONLY, readDraftPack)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** The generation of the owner's chunks in which all that the tree needs were there. */
async function requireChunks(
  { shelf, database }: Stocked,
  draft: Draft,
  root: Root,
  entries: readonly PackEntry[] | null,
  owner: string,
): Promise<number> {
  const generation = await database.read((sql) => generationOf(sql, owner))
  const own = new Map<string, Place>((entries ?? []).map((entry) => [entry.digest, { pack: draft.pack, ...entry }]))
  const places = eitherOf(own, placesIn(database, shelf.packsFolder, owner))
  const missing = await withReader(async (reader) => {
    const walk = new Walk(places, reader)
    try {
      await walk.add(root)
    } catch (error) {
      if (walk.listsMissing > 0) return walk.listsMissing
      throw error
    }
    return (await placesOf(walk.digests, places)).missing.length
  })
  if (missing > 0) throw collectedMeanwhile(missing)
  return generation
}

async function storePack(
  { shelf, database }: Stocked,
  draft: Draft,
  { checkpoint_id, owner, created_at }: Label,
  entries: readonly PackEntry[],
): Promise<{ pack: string; pack_bytes: number }> {
  const packId = packIdOf(checkpoint_id)
  const bytes = await withPlainFile(draft.pack, constants.O_RDWR, async (handle) => {
    const sealed = await sealPack(handle, { pack_id: packId, owner, created_at }, shelf.key)
    await handle.chmod(0o600)
    await handle.sync()
    return sealed
  })
  await rename(draft.pack, packPath(shelf.packsFolder, packId))
  await syncFolder(shelf.packsFolder)
  await putPack(database, { packId, owner, bytes, entries })
  return { pack: packId, pack_bytes: bytes }
}

/** `generation`: in which all chunks were there, those of the pack included. */
async function storeManifest(
  stocked: Stocked,
  draft: Draft,
  root: Root,
  contents: Contents,
  generation: number,
): Promise<void> {
  const { shelf, database } = stocked
  const { owner, checkpoint_id } = contents.label
  const path = checkpointPath(shelf, checkpoint_id)
  for (let tries = 1; ; tries += 1) {
    const complete = generation
    try {
      const stored = await database.write((sql) => {
        if (generationOf(sql, owner) !== complete) return false
        renameSync(draft.path, path)
        putRecord(sql, contents)
        return true
      })
      if (stored) return
    } catch (error) {
      // Renamed, and then not committed: as if it had never been.
      await removeQuietly(path)
      throw error
    }
    if (tries >= storeLimits.sealTriesMax) throw collectedMeanwhile(0)
    // Something was forgotten. What the pack brought has its rows by now and counts like any other chunk.
    generation = await requireChunks(stocked, draft, root, null, owner)
  }
}

function requireWanted(stillWanted: () => boolean, { checkpoint_id }: Label): void {
  if (stillWanted()) return
  throw new SavepointError('cancelled', 'The checkpoint was given up before it was stored.', {
    checkpoint: checkpoint_id,
  })
}

function collectedMeanwhile(missing: number): SavepointError {
  return new SavepointError(
    'storage_failed',
    'Data that the checkpoint shares with earlier ones was removed while it was written. Make it once more.',
    { retry: true, reason: 'chunks_collected', missing },
  )
}
