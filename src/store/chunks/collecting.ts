/**
 * Collecting garbage: chunks that no checkpoint needs are forgotten, packs without chunks are removed.
 *
 * What is needed is found out by walking the trees of all checkpoints of an owner (mark); the rows of other chunks are
 * deleted (sweep), a thousand in a transaction. A checkpoint that is stored meanwhile is seen by the transaction that
 * would take its chunks: it looks at the folder first. One that is being written does not count: if a chunk that its
 * writer was told of is gone at its seal, it is written once more. A pack whose chunks are being taken up is left alone.
 *
 * A pack that has no chunk left stays for a while, for those who were told to read it; then its row goes, and its file
 * after it. A crash at any point leaves rows that are needed, or files that the next start takes up again.
 *
 * Where a tree cannot be walked to its end, nothing is swept: what is damaged today may be put right tomorrow.
 */

import { readdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SavepointError } from '../../errors.js'
import { ownerOf } from '../checkpoints/checkpoint-index.js'
import { isCheckpointId } from '../checkpoints/checkpoint-record.js'
import { readAny } from '../checkpoints/checkpoint-reindex.js'
import { Walk } from '../checkpoints/checkpoint-tree.js'
import { dropPack, packPath, placesIn } from './chunk-index.js'
import { chunksAfter, emptyPacks, forgetChunks, latestPack, packsNamed, retire } from './collection-index.js'
import { withReader } from './chunk-reader.js'
import { errnoOf, removeQuietly } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import type { ManifestContents } from '../checkpoints/manifest-file.js'
import { CHECKPOINT_SUFFIX, checkpointPath, type Stocked } from '../checkpoints/shelf.js'
import { yieldTurn } from '../turns.js'

/** Ends a collection early where it stands. */
export class Stopped extends Error {}

/** Marks and sweeps the chunks of one owner; how many went. Throws `Stopped`, `storage_failed`, `damaged_checkpoint`. */
export async function sweep(stocked: Stocked, owner: string, stop: () => boolean): Promise<number> {
  const { database, shelf } = stocked
  const scope = await scopeOf(stocked)
  return await withReader(async (reader) => {
    const marks = new Marks(stocked, owner, new Walk(placesIn(database, shelf.packsFolder, owner), reader))
    await marks.addAll(stop)
    return await sweepUnmarked(stocked, owner, marks, scope, stop)
  })
}

/** Packs up to a number, but for those that are being taken up. */
interface Scope {
  readonly latest: number
  readonly busy: ReadonlySet<number>
}

async function scopeOf(stocked: Stocked): Promise<Scope> {
  // In this order: a pack that is taken up later has a higher number, one that is being taken up has a draft.
  const latest = await stocked.database.read(latestPack)
  return { latest, busy: await busyPacks(stocked) }
}

/** The checkpoints of one owner whose chunks are kept. */
class Marks {
  readonly walk: Walk
  readonly #stocked: Stocked
  readonly #owner: string
  /** Checkpoints that were looked at, of whomever. */
  readonly #seen = new Set<string>()

  constructor(stocked: Stocked, owner: string, walk: Walk) {
    this.#stocked = stocked
    this.#owner = owner
    this.walk = walk
  }

  async addAll(stop: () => boolean): Promise<void> {
    for (let ids = this.unseen(); ids.length > 0; ids = this.unseen()) {
      for (const id of ids) {
        if (stop()) throw new Stopped()
        await this.#add(id)
      }
    }
  }

  /** Checkpoints in the folder that were not looked at yet. At once: nothing comes between this and what follows. */
  unseen(): string[] {
    return readdirSync(this.#stocked.shelf.folder)
      .filter((name) => name.endsWith(CHECKPOINT_SUFFIX))
      .map((name) => name.slice(0, -CHECKPOINT_SUFFIX.length))
      .filter((id) => isCheckpointId(id) && !this.#seen.has(id))
  }

  /** What cannot be read and has no row, or somebody else's, holds nothing of this owner's. */
  async #isNobodys(id: string): Promise<boolean> {
    return (await this.#stocked.database.read((sql) => ownerOf(sql, id))) !== this.#owner
  }

  async #add(id: string): Promise<void> {
    try {
      const contents = await readAny(checkpointPath(this.#stocked.shelf, id))
      // Whoever signed it: the key of another folder may be put back tomorrow.
      if (contents.label.owner === this.#owner && isTree(contents)) await this.walk.add(contents.root)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && !(await this.#isNobodys(id))) throw error
    }
    this.#seen.add(id)
  }
}

function isTree(contents: object): contents is ManifestContents {
  return 'root' in contents
}

async function sweepUnmarked(
  { database }: Stocked,
  owner: string,
  marks: Marks,
  { latest, busy }: Scope,
  stop: () => boolean,
): Promise<number> {
  let swept = 0
  let last = ''
  for (;;) {
    if (stop()) throw new Stopped()
    const from = last
    const rows = await database.read((sql) => chunksAfter(sql, owner, from, storeLimits.chunksAtOnce))
    if (rows.length === 0) return swept
    const isGarbage = ({ digest, pack }: { digest: string; pack: number }): boolean =>
      pack <= latest && !busy.has(pack) && !marks.walk.digests.has(digest)
    if (rows.some(isGarbage)) {
      const done = await database.write((sql) => {
        // With the write lock held, no checkpoint is stored: what is here now is all there is.
        if (marks.unseen().length > 0) return false
        const garbage = rows.filter(isGarbage)
        forgetChunks(
          sql,
          owner,
          garbage.map(({ digest }) => digest),
          latest,
        )
        swept += garbage.length
        return true
      })
      if (!done) {
        await marks.addAll(stop)
        continue
      }
    }
    last = rows.at(-1)?.digest ?? last
    await yieldTurn()
  }
}

/** Packs of checkpoints that are being written, by whatever process. */
async function busyPacks({ shelf, database }: Stocked): Promise<ReadonlySet<number>> {
  const ids: string[] = []
  for (const process of await readdir(shelf.writingFolder)) {
    const names = await readdir(join(shelf.writingFolder, process)).catch(() => [])
    for (const name of names) {
      const id = name.slice(0, 35)
      if (isCheckpointId(id)) ids.push(`pk_${id.slice(3)}`)
    }
  }
  return new Set(await database.read((sql) => packsNamed(sql, ids)))
}

/** Removes packs that have had no chunk for a while; how many went, and how many wait. Throws `storage_failed`. */
export async function removeEmpty(stocked: Stocked, owner: string): Promise<{ removed: number; waiting: number }> {
  const { shelf, database } = stocked
  const { latest, busy } = await scopeOf(stocked)
  const now = shelf.clock.date().getTime()
  const empty = (await database.read((sql) => emptyPacks(sql, owner, latest))).filter(({ pack }) => !busy.has(pack))
  const fresh = empty.filter(({ emptied_ms }) => emptied_ms === null)
  if (fresh.length > 0) {
    await database.write((sql) => {
      for (const { pack } of fresh) retire(sql, pack, now)
    })
  }
  const due = empty.filter(({ emptied_ms }) => emptied_ms !== null && now - emptied_ms >= storeLimits.packGraceMs)
  for (const { pack, pack_id } of due) {
    // The row first: a file without one is taken up again, a row without a file would be a hole.
    await database.write((sql) => dropPack(sql, pack))
    await removeQuietly(packPath(shelf.packsFolder, pack_id))
  }
  return { removed: due.length, waiting: empty.length - due.length }
}

/** Why a collection ended early, for the log; null: it was asked to. */
export function reasonOf(error: unknown): string | null {
  if (error instanceof Stopped) return null
  return error instanceof SavepointError || error instanceof Error ? error.message : String(error)
}
