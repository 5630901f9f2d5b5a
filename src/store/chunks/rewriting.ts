/**
 * Rewriting packs: what is still needed of packs that are mostly garbage, and of many small ones, is copied into one.
 * The copy is in place, signed and flushed, before its rows point to it; the old packs are removed like any others that
 * have no chunk left.
 */

import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { SavepointError } from '../../errors.js'
import type { Digest, Place } from './chunk.js'
import { addPack, packPath, type PackRow } from './chunk-index.js'
import { chunksIn, latestPack, liveBytes, moveChunks, packsOf } from './collection-index.js'
import { withReader } from './chunk-reader.js'
import { Stopped } from './collecting.js'
import { removeQuietly, syncFolder } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { newPackId, sealPack, type PackEntry } from './pack-file.js'
import { writePack } from './pack-writer.js'
import type { Stocked } from '../checkpoints/shelf.js'
import { yieldTurn } from '../turns.js'

/** Rewrites what is worth it; how many packs are replaced. Throws `Stopped`, `storage_failed`. */
export async function rewrite(stocked: Stocked, owner: string, stop: () => boolean): Promise<number> {
  let replaced = 0
  const latest = await stocked.database.read(latestPack)
  for (const group of await worthwhile(stocked, owner, latest, stop)) {
    if (stop()) throw new Stopped()
    try {
      await rewriteGroup(stocked, owner, group)
      replaced += group.length
    } catch (error) {
      // A damaged chunk is not copied under a new signature; its pack stays as it is.
      if (!(error instanceof SavepointError) || error.code !== 'damaged_checkpoint') throw error
      stocked.shelf.log('warn', 'pack_not_rewritten', { reason: error.message })
    }
  }
  return replaced
}

/** Packs to become one each. */
async function worthwhile(
  { database }: Stocked,
  owner: string,
  latest: number,
  stop: () => boolean,
): Promise<readonly (readonly PackRow[])[]> {
  const small: { pack: PackRow; live: number }[] = []
  const groups: PackRow[][] = []
  for (const pack of await database.read((sql) => packsOf(sql, owner, latest))) {
    if (stop()) throw new Stopped()
    const live = await database.read((sql) => liveBytes(sql, pack.pack))
    await yieldTurn()
    if (live === 0) continue
    const waste = pack.bytes - live
    if (waste > live && waste >= storeLimits.packWasteBytes) groups.push([pack])
    else if (pack.bytes < storeLimits.smallPackBytes) small.push({ pack, live })
  }
  if (small.length < storeLimits.smallPacksMax) return groups
  let group: PackRow[] = []
  let bytes = 0
  for (const { pack, live } of small) {
    if (bytes + live > storeLimits.mergedPackBytes) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(pack)
    bytes += live
  }
  return [...groups, group].filter((packs) => packs.length > 0)
}

async function rewriteGroup({ shelf, database }: Stocked, owner: string, packs: readonly PackRow[]): Promise<void> {
  const chunks: (readonly [Digest, Place])[] = []
  for (const { pack } of packs) {
    for (const chunk of await database.read((sql) => chunksIn(sql, pack, shelf.packsFolder))) chunks.push(chunk)
    await yieldTurn()
  }
  if (chunks.length === 0) return
  const packId = newPackId()
  const draft = join(shelf.unfinishedFolder, `${packId}.pack`)
  const label = { pack_id: packId, owner, created_at: shelf.clock.date().toISOString() }
  try {
    const { entries, bytes } = await withReader(async (reader) => {
      const handle = await open(draft, 'wx+', 0o600)
      try {
        const written = await writePack(handle, chunks, reader)
        const size = await sealPack(handle, label, shelf.key)
        await handle.sync()
        return { entries: written, bytes: size }
      } finally {
        await handle.close()
      }
    })
    await rename(draft, packPath(shelf.packsFolder, packId))
    await syncFolder(shelf.packsFolder)
    await move(database, { owner, packId, bytes, entries }, packs)
  } finally {
    await removeQuietly(draft)
  }
}

async function move(
  database: Stocked['database'],
  { owner, packId, bytes, entries }: { owner: string; packId: string; bytes: number; entries: readonly PackEntry[] },
  from: readonly PackRow[],
): Promise<void> {
  const old = from.map(({ pack }) => pack)
  for (let at = 0; at < entries.length; at += storeLimits.chunksAtOnce) {
    const some = entries.slice(at, at + storeLimits.chunksAtOnce)
    await database.write((sql) =>
      moveChunks(sql, owner, addPack(sql, { packId, owner, bytes, chunks: entries.length }), some, old),
    )
    await yieldTurn()
  }
}
