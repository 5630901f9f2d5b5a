/** Bringing the index of checkpoints into step with the files, which are what counts. */

import { constants } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../log.js'
import { CHECKPOINT_SUFFIX, readContents, withCheckpoint } from './checkpoint-file.js'
import { allIds, dropRecord, putRecord } from './checkpoint-index.js'
import type { CheckpointKey } from './checkpoint-key.js'
import { isCheckpointId, recordOf, type Contents } from './checkpoint-record.js'
import type { Database } from './database.js'

/**
 * Takes up files that have no row (their process ended in between, or the database is new), and drops rows that have
 * no file. Files are believed here without reading them whole: whoever restores one verifies it first. Those of
 * another key are left out, so that a name never leads to one that cannot be restored.
 */
export async function bringIntoStep(database: Database, folder: string, key: CheckpointKey, log: Log): Promise<void> {
  // The index first, then the files: a file comes before its row, so that a row whose file is not seen afterwards has
  // lost it, and does not belong to one that another process is storing just now.
  const indexed = await database.read(allIds)
  const files = new Set(await storedIds(folder))
  const gone = indexed.filter((id) => !files.has(id))
  for (const id of indexed) files.delete(id)
  const found: Contents[] = []
  for (const id of files) {
    const contents = await readQuietly(join(folder, id + CHECKPOINT_SUFFIX), log)
    if (contents && contents.keyId === key.id && contents.label.checkpoint_id === id) found.push(contents)
  }
  if (gone.length + found.length === 0) return
  await database.write((sql) => {
    for (const id of gone) dropRecord(sql, id)
    for (const contents of found) putRecord(sql, recordOf(contents), contents.label.owner)
  })
}

async function storedIds(folder: string): Promise<string[]> {
  return (await readdir(folder))
    .filter((name) => name.endsWith(CHECKPOINT_SUFFIX))
    .map((name) => name.slice(0, -CHECKPOINT_SUFFIX.length))
    .filter(isCheckpointId)
}

async function readQuietly(path: string, log: Log): Promise<Contents | null> {
  try {
    return await withCheckpoint(path, constants.O_RDONLY, readContents)
  } catch (error) {
    log('warn', 'checkpoint_unreadable', { path, reason: error instanceof Error ? error.message : String(error) })
    return null
  }
}
