/** Checkpoints that are being written: from the reservation of an id to the seal. */

import { join } from 'node:path'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import * as index from './checkpoint-index.js'
import {
  checkCheckpointName,
  checkNote,
  newCheckpointId,
  type CheckpointRecord,
  type Label,
} from './checkpoint-record.js'
import type { BeginRequest, Reservation, SealFacts } from './checkpoint-requests.js'
import { digestsOf } from '../chunks/chunk-index.js'
import type { Database } from '../database.js'
import { removeQuietly, writeNew } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { sealDraft, type Draft } from './sealing.js'
import { CHECKPOINT_SUFFIX, storageFailure, unknown, type Stocked } from './shelf.js'

interface Unfinished extends Draft {
  readonly known: string
  /** `parent_id` undefined: the newest of its kernel when it is sealed. */
  readonly label: Omit<Label, keyof SealFacts | 'parent_id' | 'pack' | 'pack_bytes'>
  readonly parent: string | null | undefined
  phase: 'writing' | 'sealing' | 'abandoned'
}

const MAIN = 'main'

export class Reservations {
  readonly #owner: string
  readonly #clock: Clock
  readonly #unfinished = new Map<string, Unfinished>()

  constructor(owner: string, clock: Clock) {
    this.#owner = owner
    this.#clock = clock
  }

  has(id: string): boolean {
    return this.#unfinished.has(id)
  }

  /** Throws `name_invalid`, `bad_request`, `queue_full`: what needs no disk to be known. */
  check({ name, note }: BeginRequest): void {
    if (name !== null) checkCheckpointName(name)
    if (note !== null) checkNote(note)
    if (this.#unfinished.size < storeLimits.writingMax) return
    const message = `${storeLimits.writingMax} checkpoints are being written. Wait for one of them.`
    throw new SavepointError('queue_full', message)
  }

  /** Reserves an id and places to write to. Throws as `check` does, and `storage_failed`. */
  async begin({ shelf, database }: Stocked, request: BeginRequest): Promise<Reservation> {
    this.check(request)
    const { kernelId, name, note, parent, branch = MAIN, fresh = false } = request
    const checkpoint_id = newCheckpointId()
    const stem = join(shelf.unfinishedFolder, checkpoint_id)
    const created_at = this.#clock.date().toISOString()
    const label = { checkpoint_id, name, note, branch, kernel_id: kernelId, owner: this.#owner, created_at }
    const paths = { path: stem + CHECKPOINT_SUFFIX, pack: `${stem}.pack`, known: `${stem}.known` }
    this.#unfinished.set(checkpoint_id, { ...paths, label, parent, phase: 'writing' })
    try {
      const known = !fresh && (await writeKnown(database, this.#owner, paths.known)) ? paths.known : null
      return { checkpoint_id, path: paths.path, pack: paths.pack, known }
    } catch (error) {
      await this.abandon(checkpoint_id)
      throw storageFailure(error, paths.known)
    }
  }

  /**
   * Makes a checkpoint of what was written; its files are gone afterwards in any case. Throws as `sealDraft` does, and
   * `unknown_checkpoint` where nothing is reserved.
   */
  async seal(stocked: () => Promise<Stocked>, id: string, facts: SealFacts, room: Room): Promise<CheckpointRecord> {
    const unfinished = this.#unfinished.get(id)
    if (unfinished?.phase !== 'writing') throw unknown(id)
    unfinished.phase = 'sealing'
    try {
      const stock = await stocked()
      await room(stock, unfinished)
      const label = await labelOf(stock.database, unfinished, facts)
      return await sealDraft(stock, unfinished, label, () => unfinished.phase === 'sealing')
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

  /** What was written for a reservation that is not being sealed. Throws `unknown_checkpoint`. */
  draft(id: string): { readonly draft: Draft; readonly owner: string } {
    const unfinished = this.#unfinished.get(id)
    if (unfinished?.phase !== 'writing') throw unknown(id)
    return { draft: unfinished, owner: this.#owner }
  }

  async abandonAll(): Promise<void> {
    for (const id of [...this.#unfinished.keys()]) await this.abandon(id)
  }
}

/** Whether what was written may still be kept; throws if not. */
export type Room = (stocked: Stocked, draft: Draft) => Promise<void>

async function labelOf(database: Database, { label, parent }: Unfinished, facts: SealFacts): Promise<Label> {
  const { owner, kernel_id, checkpoint_id } = label
  const parent_id =
    parent === undefined
      ? await database.read((sql) => index.newestOfKernel(sql, owner, kernel_id, checkpoint_id))
      : parent
  const { pause_ms, write_ms, in_transaction, execution_count } = facts
  return { ...label, parent_id, pause_ms, write_ms, in_transaction, execution_count, pack: null, pack_bytes: 0 }
}

/** Whether there is anything to be known. */
async function writeKnown(database: Database, owner: string, path: string): Promise<boolean> {
  const digests = digestsOf(database, owner)
  const first = await digests.next()
  if (first.done) return false
  const all = async function* (): AsyncGenerator<Buffer> {
    yield first.value
    yield* digests
  }
  await writeNew(path, all())
  return true
}

async function removeDraft({ path, pack, known }: Unfinished): Promise<void> {
  for (const file of [path, pack, known]) await removeQuietly(file)
}
