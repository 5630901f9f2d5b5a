/**
 * Checkpoints: a small signed file each, the chunks that they share, and an index of both.
 *
 * The files are what counts (sealing.ts says in which order they are written); the index can be made from them again,
 * and is, whenever one opens the folder.
 */

import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import type { Log } from '../../log.js'
import * as index from './checkpoint-index.js'
import { isAutomatic, isCheckpointId, recordOf, type CheckpointRecord } from './checkpoint-record.js'
import type { BeginRequest, CheckpointList, Head, ListQuery, Reservation, SealFacts } from './checkpoint-requests.js'
import type { Collected, Collector } from '../chunks/collector.js'
import type { Database } from '../database.js'
import { describeCheckpoint, diffCheckpoints, type CheckpointDiff, type DescribedCheckpoint } from './describing.js'
import { errnoOf } from '../durable-files.js'
import { exportInMemory, prepareExport, type Export } from './exporting.js'
import { importCheckpoint, type ImportOptions, type ImportSource } from './importing.js'
import { storeLimits } from '../limits.js'
import { openCheckpoint, verified, type OpenedCheckpoint } from './opening.js'
import { LOCAL_OWNER } from '../owner.js'
import { removeCheckpoint } from './removing.js'
import { Reservations } from './reservations.js'
import { draftBytes, expiredOf, requireRoom, type KeepRules } from './retention.js'
import { checkpointPath, exists, storageFailure, unknown, type Stocked } from './shelf.js'
import type { Stock } from '../chunks/stock.js'
import type { Turns } from '../turns.js'
import { validateCheckpoint, type Validation } from './validating.js'

export interface CheckpointsOptions {
  /** Whose checkpoints it makes, and alone sees; null: sees everybody's, and makes those of the local user. */
  readonly owner: string | null
  readonly log: Log
  readonly clock: Clock
  readonly stock: Stock
  /** For what reads much. */
  readonly turns: Turns
  /** For exports and imports, which last as long as the other side takes. */
  readonly exports: Turns
  readonly collector: Collector
  /** Which automatic checkpoints are kept; null: all. */
  readonly keep: KeepRules | null
  /** Bytes that an owner's checkpoints may take; 0: any number. */
  readonly bytesMax: number
}

export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #reservations: Reservations

  constructor(options: CheckpointsOptions) {
    this.#options = options
    this.#reservations = new Reservations(options.owner ?? LOCAL_OWNER, options.clock)
  }

  /**
   * Reserves an id and places to write to, before the namespace is copied. Throws `name_invalid`, `bad_request`,
   * `queue_full`, `quota_exceeded`, `storage_failed`.
   */
  async begin(request: BeginRequest): Promise<Reservation> {
    this.#reservations.check(request)
    const stocked = await this.#stocked()
    await this.#requireRoom(stocked, 0)
    return await this.#reservations.begin(stocked, request)
  }

  /**
   * Checks, signs and keeps what the writer wrote. On a failure its files are removed. Throws `unknown_checkpoint` (no
   * such reservation), `damaged_checkpoint` (what was written is none), `cancelled` (abandoned meanwhile),
   * `quota_exceeded`, `storage_failed` (with `details.retry`: begin again with `fresh`, once).
   *
   * One that is stored already is answered by what it is: who asks may be the successor of who did.
   */
  async seal(id: string, facts: SealFacts): Promise<CheckpointRecord> {
    const stored = this.#reservations.has(id) ? null : await this.get(id)
    if (stored) return stored
    const { keep } = this.#options
    const record = await this.#reservations.seal(
      () => this.#stocked(),
      id,
      facts,
      async (stocked, draft) => this.#requireRoom(stocked, await draftBytes(draft)),
    )
    if (keep && isAutomatic(record)) await this.#applyRules(record.kernel_id, keep)
    return record
  }

  /** Gives up a reservation and removes what was written for it. Unknown ids are ignored. */
  async abandon(id: string): Promise<void> {
    await this.#reservations.abandon(id)
  }

  /**
   * Reads a checkpoint's file to its end and checks its signature. Throws `unknown_checkpoint`, `damaged_checkpoint`,
   * `foreign_checkpoint` (another data folder's, or another owner's), `format_unsupported`, `storage_failed`.
   */
  async verify(id: string): Promise<{ readonly path: string; readonly record: CheckpointRecord }> {
    if (!isCheckpointId(id)) throw unknown(id)
    const { path, contents } = await verified(await this.#options.stock.shelf(), id, this.#options.owner)
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
    for (const id of 'id' in to ? [from, to.id] : [from]) if (!isCheckpointId(id)) throw unknown(id)
    const later = 'id' in to ? to : this.#reservations.draft(to.draft)
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
   * `format_unsupported`, `too_large`, `quota_exceeded`, `queue_full`, `storage_failed`.
   */
  async importFrom(
    source: ImportSource,
    options: Partial<Omit<ImportOptions, 'quotaBytes'>> = {},
  ): Promise<CheckpointRecord> {
    const stocked = await this.#stocked()
    const { owner = this.#owner, trust = null, kernelId = null, bytesMax = storeLimits.importBytesMax } = options
    if (this.#options.owner !== null && owner !== this.#options.owner) {
      throw new SavepointError('forbidden', 'Nobody takes in checkpoints for somebody else.')
    }
    return await this.#options.exports.take(() =>
      importCheckpoint(stocked, source, { owner, trust, kernelId, bytesMax, quotaBytes: this.#options.bytesMax }),
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

  /**
   * Removes a checkpoint, a damaged one too; what only it needed is collected later. Does nothing if there is none.
   * Throws `foreign_checkpoint` (somebody else's), `storage_failed`.
   */
  async remove(id: string): Promise<void> {
    if (!isCheckpointId(id)) return
    if (await removeCheckpoint(await this.#stocked(), id, this.#options.owner)) this.#options.collector.soon()
  }

  /**
   * Collects garbage now: of all owners, where this store sees everybody's. Throws `damaged_checkpoint` (a tree that
   * cannot be walked: nothing is removed then), `queue_full`, `storage_failed`.
   */
  async collect(): Promise<Collected> {
    return await this.#options.collector.collect(this.#options.owner)
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
    await this.#reservations.abandonAll()
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

  /** Garbage may be all that is in the way of `added` bytes more. Throws `quota_exceeded`. */
  async #requireRoom(stocked: Stocked, added: number): Promise<void> {
    const { bytesMax, collector } = this.#options
    try {
      await requireRoom(stocked, this.#owner, bytesMax, added)
    } catch (error) {
      await collector.collect(this.#owner).catch(() => null)
      await requireRoom(stocked, this.#owner, bytesMax, added).catch(() => {
        throw error
      })
    }
  }

  /** What the rules give up. The checkpoint is stored by now: a failure costs room until the next one. */
  async #applyRules(kernelId: string, keep: KeepRules): Promise<void> {
    try {
      const database = await this.#database()
      for (const id of await database.read((sql) => expiredOf(sql, this.#owner, kernelId, keep))) await this.remove(id)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.log('warn', 'retention_failed', { kernel: kernelId, reason })
    }
  }

  #stocked(): Promise<Stocked> {
    return this.#options.stock.stocked()
  }

  async #database(): Promise<Database> {
    return (await this.#stocked()).database
  }

  async #pathOf(id: string): Promise<string> {
    return checkpointPath(await this.#options.stock.shelf(), id)
  }
}
