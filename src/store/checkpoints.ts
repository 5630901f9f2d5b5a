/**
 * Checkpoints: a small signed file each, the chunks that they share, and an index of both.
 *
 * The files are what counts (sealing.ts says in which order they are written); the index can be made from them again,
 * and is, whenever one opens the folder.
 */

import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'
import type { Log } from '../log.js'
import * as index from './checkpoint-index.js'
import {
  checkCheckpointName,
  checkNote,
  isCheckpointId,
  newCheckpointId,
  recordOf,
  type CheckpointRecord,
  type Label,
} from './checkpoint-record.js'
import type { BeginRequest, CheckpointList, Head, ListQuery, Reservation, SealFacts } from './checkpoint-requests.js'
import { bringIntoStep } from './checkpoint-reindex.js'
import { digestsOf } from './chunk-index.js'
import type { Database } from './database.js'
import { describeCheckpoint, diffCheckpoints, type CheckpointDiff, type DescribedCheckpoint } from './describing.js'
import { errnoOf, removeQuietly } from './durable-files.js'
import { exportInMemory, prepareExport, type Export } from './exporting.js'
import { importCheckpoint, type ImportOptions, type ImportSource } from './importing.js'
import { storeLimits } from './limits.js'
import { openCheckpoint, verified, type OpenedCheckpoint } from './opening.js'
import { LOCAL_OWNER } from './owner.js'
import { sealDraft } from './sealing.js'
import {
  checkpointPath,
  CHECKPOINT_SUFFIX,
  exists,
  openShelf,
  storageFailure,
  unknown,
  type Shelf,
  type Stocked,
} from './shelf.js'
import type { Turns } from './turns.js'
import { closeUnfinishedFolder } from './unfinished-files.js'
import { validateCheckpoint, type Validation } from './validating.js'

export interface CheckpointsOptions {
  readonly dataDir: string
  /** Whose checkpoints it makes, and alone sees; null: sees everybody's, and makes those of the local user. */
  readonly owner: string | null
  readonly log: Log
  readonly clock: Clock
  /** For what reads much. */
  readonly turns: Turns
  /** For exports and imports, which last as long as the other side takes. */
  readonly exports: Turns
  /** Makes the data folder and opens its database; may be called again after it failed. */
  readonly openDatabase: () => Promise<Database>
}

interface Unfinished {
  readonly path: string
  readonly pack: string
  readonly known: string
  /** `parent_id` undefined: the newest of its kernel when it is sealed. */
  readonly label: Omit<Label, keyof SealFacts | 'parent_id' | 'pack' | 'pack_bytes'>
  readonly parent: string | null | undefined
  phase: 'writing' | 'sealing' | 'abandoned'
}

const MAIN = 'main'

export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #unfinished = new Map<string, Unfinished>()
  #shelf: Promise<Shelf> | null = null
  /** The database that the files were compared with, and its generation then. */
  #indexed: { readonly database: Database; readonly generation: number } | null = null

  constructor(options: CheckpointsOptions) {
    this.#options = options
  }

  /** Reserves an id and places to write to. Throws `name_invalid`, `bad_request`, `queue_full`, `storage_failed`. */
  async begin(request: BeginRequest): Promise<Reservation> {
    const { kernelId, name, note, parent, branch = MAIN, fresh = false } = request
    if (name !== null) checkCheckpointName(name)
    if (note !== null) checkNote(note)
    if (this.#unfinished.size >= storeLimits.writingMax) {
      throw new SavepointError(
        'queue_full',
        `${storeLimits.writingMax} checkpoints are being written. Wait for one of them.`,
      )
    }
    // A checkpoint that could not be indexed is refused before the namespace is copied for it.
    const { shelf, database } = await this.#stocked()
    const checkpoint_id = newCheckpointId()
    const stem = join(shelf.unfinishedFolder, checkpoint_id)
    const created_at = this.#options.clock.date().toISOString()
    const owner = this.#owner
    const label = { checkpoint_id, name, note, branch, kernel_id: kernelId, owner, created_at }
    const paths = { path: stem + CHECKPOINT_SUFFIX, pack: `${stem}.pack`, known: `${stem}.known` }
    this.#unfinished.set(checkpoint_id, { ...paths, label, parent, phase: 'writing' })
    try {
      const known = !fresh && (await writeKnown(database, owner, paths.known)) ? paths.known : null
      return { checkpoint_id, path: paths.path, pack: paths.pack, known }
    } catch (error) {
      await this.abandon(checkpoint_id)
      throw storageFailure(error, paths.known)
    }
  }

  /**
   * Checks, signs and keeps what the writer wrote. On a failure its files are removed. Throws `unknown_checkpoint` (no
   * such reservation), `damaged_checkpoint` (what was written is none), `cancelled` (abandoned meanwhile),
   * `storage_failed` (with `details.retry`: begin again with `fresh`, once).
   */
  async seal(id: string, facts: SealFacts): Promise<CheckpointRecord> {
    const unfinished = this.#unfinished.get(id)
    if (unfinished?.phase !== 'writing') throw unknown(id)
    unfinished.phase = 'sealing'
    try {
      const stocked = await this.#stocked()
      const { kernel_id, owner } = unfinished.label
      const parent_id =
        unfinished.parent === undefined
          ? await stocked.database.read((sql) => index.newestOfKernel(sql, owner, kernel_id, id))
          : unfinished.parent
      const { pause_ms, write_ms, in_transaction, execution_count } = facts
      const said = { pause_ms, write_ms, in_transaction, execution_count }
      const label = { ...unfinished.label, parent_id, ...said, pack: null, pack_bytes: 0 }
      return await sealDraft(stocked, unfinished, label, () => unfinished.phase === 'sealing')
    } catch (error) {
      throw storageFailure(error, unfinished.path)
    } finally {
      await removeDraft(unfinished)
      this.#unfinished.delete(id)
    }
  }

  /** Gives up a reservation and removes what was written for it. Unknown ids are ignored. */
  async abandon(id: string): Promise<void> {
    const unfinished = this.#unfinished.get(id)
    if (!unfinished) return
    // One that is being sealed removes its files itself when it comes to look.
    const sealing = unfinished.phase === 'sealing'
    unfinished.phase = 'abandoned'
    if (sealing) return
    this.#unfinished.delete(id)
    await removeDraft(unfinished)
  }

  /**
   * Reads a checkpoint's file to its end and checks its signature. Throws `unknown_checkpoint`, `damaged_checkpoint`,
   * `foreign_checkpoint` (another data folder's, or another owner's), `format_unsupported`, `storage_failed`.
   */
  async verify(id: string): Promise<{ readonly path: string; readonly record: CheckpointRecord }> {
    if (!isCheckpointId(id)) throw unknown(id)
    const { path, contents } = await verified(await this.#open(), id, this.#options.owner)
    return { path, record: recordOf(contents) }
  }

  /**
   * What a worker restores from: verified, but for the data itself, which the worker checks chunk by chunk. Throws as
   * `verify` does, and `damaged_checkpoint` when the list of what it holds cannot be read.
   */
  async open(id: string): Promise<OpenedCheckpoint> {
    if (!isCheckpointId(id)) throw unknown(id)
    return await openCheckpoint(await this.#stocked(), id, this.#options.owner)
  }

  /** A checkpoint with its variables. Throws as `open` does. */
  async describe(id: string): Promise<DescribedCheckpoint> {
    if (!isCheckpointId(id)) throw unknown(id)
    const stocked = await this.#stocked()
    return await this.#options.turns.take(() => describeCheckpoint(stocked, id, this.#options.owner))
  }

  /**
   * Reads all of a checkpoint, and says what of it cannot be restored. Throws `unknown_checkpoint`,
   * `foreign_checkpoint`, `queue_full`, `storage_failed`.
   */
  async validate(id: string): Promise<Validation> {
    if (!isCheckpointId(id)) throw unknown(id)
    const stocked = await this.#stocked()
    return await this.#options.turns.take(() => validateCheckpoint(stocked, id, this.#options.owner))
  }

  /**
   * What changed from one checkpoint to another, or to what was written for a reservation that is not to be sealed.
   * Throws as `open` does, and `format_unsupported` for checkpoints of the first format.
   */
  async diff(from: string, to: { readonly id: string } | { readonly draft: string }): Promise<CheckpointDiff> {
    const stocked = await this.#stocked()
    const other = 'id' in to ? to.id : from
    for (const id of [from, other]) if (!isCheckpointId(id)) throw unknown(id)
    const draft = 'draft' in to ? this.#unfinished.get(to.draft) : null
    if ('draft' in to && draft?.phase !== 'writing') throw unknown(to.draft)
    const later = draft ? { draft, owner: draft.label.owner } : { id: other }
    return await this.#options.turns.take(() => diffCheckpoints(stocked, from, later, this.#options.owner))
  }

  /**
   * Writes a checkpoint as one file, and ends `target`. Nothing was written if it throws `unknown_checkpoint`,
   * `foreign_checkpoint`, `format_unsupported`, `queue_full`; with `damaged_checkpoint`, `storage_failed` or `cancelled`
   * (nobody reads on), `target` is destroyed, where it had begun.
   */
  async exportTo(id: string, target: Writable): Promise<void> {
    if (!isCheckpointId(id)) throw unknown(id)
    const stocked = await this.#stocked()
    await this.#options.exports.take(async () => {
      const { pieces } = await this.#prepareExport(stocked, id)
      try {
        await pipeline(pieces, target)
      } catch (error) {
        if (errnoOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw storageFailure(error, id)
        throw new SavepointError(
          'cancelled',
          'The export ended before it was read.',
          { checkpoint: id },
          { cause: error },
        )
      }
    })
  }

  /** The same in memory. Throws `too_large`, and as `exportTo` does. */
  async exportBytes(id: string, bytesMax: number): Promise<Buffer> {
    if (!isCheckpointId(id)) throw unknown(id)
    const stocked = await this.#stocked()
    return await this.#options.exports.take(async () =>
      exportInMemory(await this.#prepareExport(stocked, id), bytesMax),
    )
  }

  /**
   * Takes in what was exported. Throws `foreign_checkpoint` (nobody vouches for it), `damaged_checkpoint`,
   * `format_unsupported`, `too_large`, `queue_full`, `storage_failed`.
   */
  async importFrom(source: ImportSource, options: Partial<ImportOptions> = {}): Promise<CheckpointRecord> {
    const stocked = await this.#stocked()
    const { owner = this.#owner, trust = null, kernelId = null, bytesMax = storeLimits.importBytesMax } = options
    if (this.#options.owner !== null && owner !== this.#options.owner) {
      throw new SavepointError('forbidden', 'Nobody takes in checkpoints for somebody else.')
    }
    return await this.#options.exports.take(() =>
      importCheckpoint(stocked, source, { owner, trust, kernelId, bytesMax }),
    )
  }

  /**
   * The id that is meant: an id as it is; else the newest of that name among this kernel's own, else among all
   * of the owner's. That an id is somebody else's is told by `verify`. Throws
   * `unknown_checkpoint`, `storage_failed`.
   */
  async find(nameOrId: string, kernelId: string | null, owner = this.#options.owner): Promise<string> {
    const database = await this.#database()
    if (isCheckpointId(nameOrId)) {
      // Not only those of the index: another process may have stored it since this one looked.
      if (await exists(await this.#pathOf(nameOrId))) return nameOrId
      throw unknown(nameOrId)
    }
    for (;;) {
      const id = await database.read((sql) => index.newestNamed(sql, owner, nameOrId, kernelId))
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
    const { kernelId = null, branch = null, text = null, before = null } = query
    const owner = this.#options.owner ?? query.owner ?? null
    return await database.read((sql) => {
      const { items, total } = index.selectRecords(sql, { owner, kernelId, branch, text, before, limit })
      return { items, total_count: total, head: viewer === null ? null : index.currentOf(sql, owner, viewer) }
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

  /** Where the kernel stands; null: it was never said. Throws `storage_failed`. */
  async headOf(kernelId: string): Promise<Head | null> {
    const database = await this.#database()
    return await database.read((sql) => index.headOf(sql, this.#owner, kernelId))
  }

  /** Later checkpoints of the kernel follow `head`, on `branch`. Throws `storage_failed`. */
  async setHead(kernelId: string, head: string | null, branch: string): Promise<void> {
    const database = await this.#database()
    await database.write((sql) => index.setHead(sql, this.#owner, kernelId, { head, branch }))
  }

  /** Removes what was reserved and never sealed. */
  async close(): Promise<void> {
    for (const id of [...this.#unfinished.keys()]) await this.abandon(id)
    const shelf = await this.#shelf?.catch(() => null)
    if (shelf) await closeUnfinishedFolder(shelf.unfinishedFolder)
  }

  /** Whose checkpoints it makes. */
  get #owner(): string {
    return this.#options.owner ?? LOCAL_OWNER
  }

  async #prepareExport(stocked: Stocked, id: string): Promise<Export> {
    try {
      return await prepareExport(stocked, id, this.#options.owner)
    } catch (error) {
      throw storageFailure(error, checkpointPath(stocked.shelf, id))
    }
  }

  #open(): Promise<Shelf> {
    const { dataDir, log, clock } = this.#options
    // Remembered only while it succeeds, so that a folder that was put right is used without a restart.
    this.#shelf ??= openShelf(dataDir, log, clock).catch((error: unknown) => {
      this.#shelf = null
      throw storageFailure(error, dataDir)
    })
    return this.#shelf
  }

  /** Folders and database, its tables in step with the files that were there when it was opened. */
  async #stocked(): Promise<Stocked> {
    const database = await this.#options.openDatabase()
    const shelf = await this.#open()
    const { generation } = database
    if (this.#indexed?.database !== database || this.#indexed.generation !== generation) {
      await bringIntoStep({ shelf, database })
      this.#indexed = { database, generation }
    }
    return { shelf, database }
  }

  async #database(): Promise<Database> {
    return (await this.#stocked()).database
  }

  async #pathOf(id: string): Promise<string> {
    return checkpointPath(await this.#open(), id)
  }
}

/** Whether there is anything to be known. */
async function writeKnown(database: Database, owner: string, path: string): Promise<boolean> {
  const digests = digestsOf(database, owner)
  const first = await digests.next()
  if (first.done) return false
  await pipeline(
    async function* () {
      yield first.value
      yield* digests
    },
    createWriteStream(path, { flags: 'wx', mode: 0o600 }),
  )
  return true
}

async function removeDraft({ path, pack, known }: Unfinished): Promise<void> {
  for (const file of [path, pack, known]) await removeQuietly(file)
}
