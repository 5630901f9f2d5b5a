/** Bringing the tables of checkpoints, packs and chunks into step with the files, which are what counts. */

import { constants } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { Log } from '../../log.js'
import { MAGIC_1, readContents } from './checkpoint-file.js'
import { allIds, dropRecord, putRecord } from './checkpoint-index.js'
import { isCheckpointId, type Contents } from './checkpoint-record.js'
import { allPacks, dropPack, packPath, putPack } from '../chunks/chunk-index.js'
import { markDue, nextGeneration } from '../chunks/collection-index.js'
import { readAt } from '../durable-files.js'
import { readManifestFile } from './manifest-file.js'
import { isPackId, PACK_SUFFIX, verifyPack } from '../chunks/pack-file.js'
import { damaged, withPlainFile } from '../chunks/sealed-end.js'
import { CHECKPOINT_SUFFIX, checkpointPath, type Stocked } from './shelf.js'

/**
 * Takes up files that have no row (their process ended in between, or the database is new), and drops rows that have
 * no file. Packs come first: a checkpoint is never listed before what it needs.
 */
export async function bringIntoStep(stocked: Stocked): Promise<void> {
  await bringPacksIntoStep(stocked)
  await bringCheckpointsIntoStep(stocked)
}

/** Of a pack nothing is believed that its signature does not cover. One that is not needed is swept later. */
async function bringPacksIntoStep({ shelf, database }: Stocked): Promise<void> {
  // The rows first, as below.
  const rows = await database.read(allPacks)
  const files = new Set(await namesIn(shelf.packsFolder, PACK_SUFFIX, isPackId))
  const gone = rows.filter(({ pack_id }) => !files.has(pack_id))
  if (gone.length > 0) {
    await database.write((sql) => {
      for (const { pack } of gone) dropPack(sql, pack)
      for (const owner of new Set(gone.map(({ subject }) => subject))) nextGeneration(sql, owner)
    })
  }
  for (const { pack_id } of rows) files.delete(pack_id)
  for (const packId of files) {
    const path = packPath(shelf.packsFolder, packId)
    const contents = await readQuietly(shelf.log, path, () =>
      withPlainFile(path, constants.O_RDONLY, async (handle) => {
        const pack = await verifyPack(handle, shelf.key)
        if (pack.label.pack_id !== packId) throw damaged('a pack of it has the name of another one')
        return pack
      }),
    )
    if (!contents) continue
    const { label, fileBytes, entries } = contents
    await putPack(database, { packId, owner: label.owner, bytes: fileBytes, entries })
    await database.write((sql) => markDue(sql, label.owner))
  }
}

/**
 * Checkpoints are believed here without being verified: whoever restores one verifies it first. Those of another key
 * are left out, so that a name never leads to one that cannot be restored.
 */
async function bringCheckpointsIntoStep({ shelf, database }: Stocked): Promise<void> {
  // The index first, then the files: a file comes before its row, so that a row whose file is not seen afterwards has
  // lost it, and does not belong to one that another process is storing just now.
  const indexed = await database.read(allIds)
  const files = new Set(await checkpointIds(shelf.folder))
  const gone = indexed.filter((id) => !files.has(id))
  for (const id of indexed) files.delete(id)
  const found: Contents[] = []
  for (const id of files) {
    const contents = await readQuietly(shelf.log, checkpointPath(shelf, id), () => readAny(checkpointPath(shelf, id)))
    if (contents && contents.keyId === shelf.key.id && contents.label.checkpoint_id === id) found.push(contents)
  }
  if (gone.length + found.length === 0) return
  await database.write((sql) => {
    for (const id of gone) dropRecord(sql, id)
    for (const contents of found) putRecord(sql, contents)
  })
}

/** What the file of a checkpoint says of itself, unverified. Throws `damaged_checkpoint`, or a file's error. */
export async function readAny(path: string): Promise<Contents> {
  return await withPlainFile(path, constants.O_RDONLY, async (handle) => {
    const magic = await readAt(handle, 0, MAGIC_1.length)
    return magic.equals(MAGIC_1) ? await readContents(handle) : await readManifestFile(handle)
  })
}

/** The ids of the checkpoints that have a file. */
export async function checkpointIds(folder: string): Promise<string[]> {
  return await namesIn(folder, CHECKPOINT_SUFFIX, isCheckpointId)
}

async function namesIn(folder: string, suffix: string, isOurs: (name: string) => boolean): Promise<string[]> {
  return (await readdir(folder))
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length))
    .filter(isOurs)
}

async function readQuietly<T>(log: Log, path: string, read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    log('warn', 'checkpoint_unreadable', { path, reason: error instanceof Error ? error.message : String(error) })
    return null
  }
}
