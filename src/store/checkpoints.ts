/**
 * Checkpoints: one signed file each, and an index of them.
 *
 * Order of writing: the writer's file in a private folder, label and signature, fsync, rename to the final name, fsync
 * of the folder, index. A crash between any two leaves all earlier checkpoints, and this one whole or not at all; one
 * that did not reach the index is taken up from its own file at the next start.
 */

import { constants } from 'node:fs'
import { access, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import { CHECKPOINT_SUFFIX, sealFile, verifyFile, withCheckpoint } from './checkpoint-file.js'
import * as index from './checkpoint-index.js'
import { loadCheckpointKey, type CheckpointKey } from './checkpoint-key.js'
import {
  checkCheckpointName,
  checkNote,
  isCheckpointId,
  newCheckpointId,
  recordOf,
  type CheckpointRecord,
  type Label,
} from './checkpoint-record.js'
import { bringIntoStep } from './checkpoint-reindex.js'
import { makeOwnFolder } from './data-dir.js'
import type { Database } from './database.js'
import { errnoOf, removeQuietly, syncFolder } from './durable-files.js'
import { storeLimits } from './limits.js'
import { LOCAL_OWNER } from './owner.js'
import { closeUnfinishedFolder, openUnfinishedFolder } from './unfinished-files.js'

export interface CheckpointsOptions {
  readonly dataDir: string
  /** Whose checkpoints it makes, and alone sees; null: sees everybody's, and makes those of the local user. */
  readonly owner: string | null
  readonly log: Log
  readonly clock: Clock
  /** Makes the data folder and opens its database; may be called again after it failed. */
  readonly openDatabase: () => Promise<Database>
}

export interface Reservation {
  readonly checkpoint_id: string
  /** Where the writer is to write; the file is not there yet. */
  readonly path: string
}

/** What the kernel knows of a checkpoint once its writer has ended. */
export interface SealFacts {
  readonly pause_ms: number
  readonly write_ms: number
  readonly in_transaction: boolean
  readonly execution_count: number
}

export interface ListQuery {
  /** Only this owner's, of those that can be seen at all. */
  readonly owner?: string | null
  /** Only this kernel's; absent: everybody's. */
  readonly kernelId?: string | null
  readonly branch?: string | null
  readonly limit?: number
  readonly before?: string | null
}

export interface CheckpointList {
  readonly items: readonly CheckpointRecord[]
  readonly total_count: number
  /** The newest checkpoint of the kernel that asks. */
  readonly head: string | null
}

interface Unfinished {
  readonly path: string
  readonly label: Omit<Label, keyof SealFacts | 'parent_id'>
  phase: 'writing' | 'sealing' | 'abandoned'
}

interface Opened {
  readonly key: CheckpointKey
  readonly folder: string
  readonly unfinishedFolder: string
}

const BRANCH = 'main'

export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #unfinished = new Map<string, Unfinished>()
  #opened: Promise<Opened> | null = null
  /** The database that the files were compared with, and its generation then. */
  #indexed: { readonly database: Database; readonly generation: number } | null = null

  constructor(options: CheckpointsOptions) {
    this.#options = options
  }

  /** Reserves an id and a place to write to. Throws `name_invalid`, `bad_request`, `queue_full`, `storage_failed`. */
  async begin(request: { kernelId: string; name: string | null; note: string | null }): Promise<Reservation> {
    const { kernelId, name, note } = request
    if (name !== null) checkCheckpointName(name)
    if (note !== null) checkNote(note)
    if (this.#unfinished.size >= storeLimits.writingMax) {
      throw new SavepointError(
        'queue_full',
        `${storeLimits.writingMax} checkpoints are being written. Wait for one of them.`,
      )
    }
    const { unfinishedFolder } = await this.#open()
    // A checkpoint that could not be indexed is refused before the namespace is copied for it.
    await this.#database()
    const checkpoint_id = newCheckpointId()
    const path = join(unfinishedFolder, checkpoint_id + CHECKPOINT_SUFFIX)
    const created_at = this.#options.clock.date().toISOString()
    const owner = this.#options.owner ?? LOCAL_OWNER
    const label = { checkpoint_id, name, note, branch: BRANCH, kernel_id: kernelId, owner, created_at }
    this.#unfinished.set(checkpoint_id, { path, label, phase: 'writing' })
    return { checkpoint_id, path }
  }

  /**
   * Checks, signs and keeps what the writer wrote. On a failure the file is removed. Throws `unknown_checkpoint` (no
   * such reservation), `damaged_checkpoint` (what was written is none), `cancelled` (abandoned meanwhile),
   * `storage_failed`.
   */
  async seal(id: string, facts: SealFacts): Promise<CheckpointRecord> {
    const unfinished = this.#unfinished.get(id)
    if (unfinished?.phase !== 'writing') throw unknown(id)
    unfinished.phase = 'sealing'
    try {
      const record = await this.#sealUnfinished(unfinished, facts)
      await this.#remember(record, unfinished.label.owner)
      return record
    } catch (error) {
      await removeQuietly(unfinished.path)
      throw storageFailure(error, unfinished.path)
    } finally {
      this.#unfinished.delete(id)
    }
  }

  /** Gives up a reservation and removes what was written for it. Unknown ids are ignored. */
  async abandon(id: string): Promise<void> {
    const unfinished = this.#unfinished.get(id)
    if (!unfinished) return
    // One that is being sealed removes its file itself when it comes to look.
    const sealing = unfinished.phase === 'sealing'
    unfinished.phase = 'abandoned'
    if (sealing) return
    this.#unfinished.delete(id)
    await removeQuietly(unfinished.path)
  }

  /**
   * Reads a checkpoint to its end and checks its signature; afterwards a worker may open the path. Throws
   * `unknown_checkpoint`, `damaged_checkpoint`, `foreign_checkpoint` (another data folder's, or another owner's),
   * `format_unsupported`, `storage_failed`.
   */
  async verify(id: string): Promise<{ readonly path: string; readonly record: CheckpointRecord }> {
    if (!isCheckpointId(id)) throw unknown(id)
    const { key } = await this.#open()
    const path = await this.#pathOf(id)
    try {
      const contents = await withCheckpoint(path, constants.O_RDONLY, (handle) => verifyFile(handle, key))
      // The signature covers the id, so that one checkpoint cannot be put in the place of another.
      if (contents.label.checkpoint_id !== id) {
        const message = 'The checkpoint is damaged: its file has the name of another one. Restore another one.'
        throw new SavepointError('damaged_checkpoint', message)
      }
      if (!this.#sees(contents.label.owner)) {
        const message = 'The checkpoint belongs to somebody else. List the checkpoints to see those that are yours.'
        throw new SavepointError('foreign_checkpoint', message)
      }
      return { path, record: recordOf(contents) }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw unknown(id)
      if (!(error instanceof SavepointError)) throw storageFailure(error, path)
      throw new SavepointError(error.code, error.message, { ...error.details, checkpoint: id }, { cause: error })
    }
  }

  /**
   * The id that is meant: an id as it is; else the newest of that name among this kernel's own, else among all
   * of the owner's. That an id is somebody else's is told by `verify`. Throws
   * `unknown_checkpoint`, `storage_failed`.
   */
  async find(nameOrId: string, kernelId: string | null): Promise<string> {
    const database = await this.#database()
    if (isCheckpointId(nameOrId)) {
      // Not only those of the index: another process may have stored it since this one looked.
      if (await exists(await this.#pathOf(nameOrId))) return nameOrId
      throw unknown(nameOrId)
    }
    for (;;) {
      const id = await database.read((sql) => index.newestNamed(sql, this.#options.owner, nameOrId, kernelId))
      if (id === null) throw unknown(nameOrId)
      if (await exists(await this.#pathOf(id))) return id
      // Its file was removed by hand: the next one of that name is meant then.
      await database.write((sql) => index.dropRecord(sql, id))
    }
  }

  /** null: there is none of that id, or it is not `owner`'s. Throws `storage_failed`. */
  async get(id: string, owner = this.#options.owner): Promise<CheckpointRecord | null> {
    const database = await this.#database()
    return isCheckpointId(id) ? await database.read((sql) => index.recordWithId(sql, owner, id)) : null
  }

  /** Removes a checkpoint; does nothing if there is none. Throws `storage_failed`. */
  async remove(id: string): Promise<void> {
    const database = await this.#database()
    if (!isCheckpointId(id)) return
    await removeQuietly(await this.#pathOf(id))
    await database.write((sql) => index.dropRecord(sql, id))
  }

  /** Newest first, at most `limit` (100) of them. `viewer` is the kernel that asks, if one does. Throws `storage_failed`. */
  async list(query: ListQuery = {}, viewer: string | null = null): Promise<CheckpointList> {
    const database = await this.#database()
    const limit = Math.min(Math.max(query.limit ?? 100, 1), storeLimits.listMax)
    const { kernelId = null, branch = null, before = null } = query
    const owner = this.#options.owner ?? query.owner ?? null
    return await database.read((sql) => {
      const { items, total } = index.selectRecords(sql, { owner, kernelId, branch, before, limit })
      return { items, total_count: total, head: viewer === null ? null : index.newestOfKernel(sql, owner, viewer) }
    })
  }

  /** Removes a kernel's checkpoints that have this note, but for the one to `keep`. Throws `storage_failed`. */
  async prune(kernelId: string, note: string, keep: string): Promise<void> {
    const database = await this.#database()
    const all = await database.read((sql) => index.idsNoted(sql, this.#options.owner, kernelId, note))
    for (const id of all) {
      if (id !== keep) await this.remove(id)
    }
  }

  /** Removes what was reserved and never sealed. */
  async close(): Promise<void> {
    for (const id of [...this.#unfinished.keys()]) await this.abandon(id)
    const opened = await this.#opened?.catch(() => null)
    if (opened) await closeUnfinishedFolder(opened.unfinishedFolder)
  }

  async #sealUnfinished(unfinished: Unfinished, facts: SealFacts): Promise<CheckpointRecord> {
    const { path } = unfinished
    const id = unfinished.label.checkpoint_id
    const { key, folder } = await this.#open()
    const database = await this.#database()
    const { kernel_id, owner } = unfinished.label
    const parent_id = await database.read((sql) => index.newestOfKernel(sql, owner, kernel_id, id))
    const { pause_ms, write_ms, in_transaction, execution_count } = facts
    const label = { ...unfinished.label, parent_id, pause_ms, write_ms, in_transaction, execution_count }
    const contents = await withCheckpoint(path, constants.O_RDWR, async (handle) => {
      const sealed = await sealFile(handle, label, key)
      await handle.chmod(0o600)
      await handle.sync()
      return sealed
    })
    if (unfinished.phase === 'abandoned') {
      throw new SavepointError('cancelled', 'The checkpoint was given up before it was stored.', { checkpoint: id })
    }
    await rename(path, join(folder, id + CHECKPOINT_SUFFIX))
    await syncFolder(folder)
    return recordOf(contents)
  }

  /** The checkpoint is stored by now: an index that fails costs only its place in lists until the next start. */
  async #remember(record: CheckpointRecord, owner: string): Promise<void> {
    try {
      const database = await this.#database()
      await database.write((sql) => index.putRecord(sql, record, owner))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.log('warn', 'checkpoint_not_indexed', { checkpoint: record.checkpoint_id, reason })
    }
  }

  #sees(owner: string): boolean {
    return this.#options.owner === null || this.#options.owner === owner
  }

  #open(): Promise<Opened> {
    // Remembered only while it succeeds, so that a folder that was put right is used without a restart.
    this.#opened ??= this.#openFolders().catch((error: unknown) => {
      this.#opened = null
      throw storageFailure(error, this.#options.dataDir)
    })
    return this.#opened
  }

  async #openFolders(): Promise<Opened> {
    const folder = join(this.#options.dataDir, 'checkpoints')
    await makeOwnFolder(folder)
    const unfinishedFolder = await openUnfinishedFolder(join(folder, 'writing'))
    return { folder, unfinishedFolder, key: await loadCheckpointKey(this.#options.dataDir) }
  }

  /** The database, its index in step with the files that were there when it was opened. */
  async #database(): Promise<Database> {
    const database = await this.#options.openDatabase()
    const { generation } = database
    if (this.#indexed?.database !== database || this.#indexed.generation !== generation) {
      const { folder, key } = await this.#open()
      await bringIntoStep(database, folder, key, this.#options.log)
      this.#indexed = { database, generation }
    }
    return database
  }

  async #pathOf(id: string): Promise<string> {
    const { folder } = await this.#open()
    return join(folder, id + CHECKPOINT_SUFFIX)
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

function unknown(nameOrId: string): SavepointError {
  const message = `There is no checkpoint ${JSON.stringify(nameOrId)}. List the checkpoints to see those that there are.`
  return new SavepointError('unknown_checkpoint', message, { checkpoint: nameOrId })
}

function storageFailure(error: unknown, path: string): SavepointError {
  if (error instanceof SavepointError) return error
  const reason = errnoOf(error) ?? String(error)
  const message = `The checkpoint could not be stored or read (${reason}) at ${path}. Check that the disk has room and can be written.`
  return new SavepointError('storage_failed', message, { path, reason }, { cause: error })
}
