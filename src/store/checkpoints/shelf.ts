/** Where checkpoints lie, and with what they are signed; the same for all parts of the store. */

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import { loadCheckpointKey, type CheckpointKey } from './checkpoint-key.js'
import { makeOwnFolder } from '../data-dir.js'
import type { Database } from '../database.js'
import { errnoOf } from '../durable-files.js'
import { openUnfinishedFolder } from '../unfinished-files.js'

export const CHECKPOINT_SUFFIX = '.savepoint'

export interface Shelf {
  /** Holds a file for each checkpoint. */
  readonly folder: string
  readonly packsFolder: string
  /** Holds a folder for each process that writes; `unfinishedFolder` is this one's. */
  readonly writingFolder: string
  readonly unfinishedFolder: string
  readonly key: CheckpointKey
  readonly keysFolder: string
  readonly log: Log
  readonly clock: Clock
}

/** Makes what is missing. Throws `storage_failed`, or a file's error. */
export async function openShelf(dataDir: string, log: Log, clock: Clock): Promise<Shelf> {
  const folder = join(dataDir, 'checkpoints')
  await makeOwnFolder(folder)
  const packsFolder = join(folder, 'packs')
  await makeOwnFolder(packsFolder)
  const writingFolder = join(folder, 'writing')
  const unfinishedFolder = await openUnfinishedFolder(writingFolder)
  const key = await loadCheckpointKey(dataDir)
  return { folder, packsFolder, writingFolder, unfinishedFolder, key, keysFolder: join(dataDir, 'keys'), log, clock }
}

/** A shelf, and the database whose tables are in step with it. */
export interface Stocked {
  readonly shelf: Shelf
  readonly database: Database
}

export function checkpointPath(shelf: Shelf, id: string): string {
  return join(shelf.folder, id + CHECKPOINT_SUFFIX)
}

export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

export function unknown(nameOrId: string): SavepointError {
  const message = `There is no checkpoint ${JSON.stringify(nameOrId)}. List the checkpoints to see those that there are.`
  return new SavepointError('unknown_checkpoint', message, { checkpoint: nameOrId })
}

/** What a file's error means to whoever asked for a checkpoint. */
export function storageFailure(error: unknown, path: string): SavepointError {
  if (error instanceof SavepointError) return error
  const reason = errnoOf(error) ?? String(error)
  const message = `The checkpoint could not be stored or read (${reason}) at ${path}. Check that the disk has room and can be written.`
  return new SavepointError('storage_failed', message, { path, reason }, { cause: error })
}
