/** Removing a checkpoint: its file and its row. Its chunks are left to the next collection of garbage. */

import { rm } from 'node:fs/promises'
import { SavepointError } from '../../errors.js'
import { dropRecord, ownerOf } from './checkpoint-index.js'
import { readAny } from './checkpoint-reindex.js'
import { markDue } from '../chunks/collection-index.js'
import { checkpointPath, storageFailure, type Stocked } from './shelf.js'

/**
 * Whether there was one. `owner` null: whosever it is. One that cannot be read and was never listed is nobody's, and
 * left. Throws `foreign_checkpoint`, `storage_failed`.
 */
export async function removeCheckpoint(
  { shelf, database }: Stocked,
  id: string,
  owner: string | null,
): Promise<boolean> {
  const path = checkpointPath(shelf, id)
  const subject = (await database.read((sql) => ownerOf(sql, id))) ?? (await ownerInFile(path))
  if (subject === null) return false
  if (owner !== null && subject !== owner) {
    const message = 'The checkpoint belongs to somebody else. List the checkpoints to see those that are yours.'
    throw new SavepointError('foreign_checkpoint', message, { checkpoint: id })
  }
  try {
    await rm(path, { force: true })
  } catch (error) {
    throw storageFailure(error, path)
  }
  await database.write((sql) => {
    dropRecord(sql, id)
    markDue(sql, subject)
  })
  return true
}

async function ownerInFile(path: string): Promise<string | null> {
  try {
    return (await readAny(path)).label.owner
  } catch {
    return null
  }
}
