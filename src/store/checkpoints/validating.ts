/** Reading all of a checkpoint, and saying what of it can no longer be restored. */

import { constants } from 'node:fs'
import { SavepointError, type PublicCode } from '../../errors.js'
import { groupsOf } from './checkpoint-contents.js'
import type { Root } from './checkpoint-root.js'
import { placesOf, Walk } from './checkpoint-tree.js'
import type { Digest, Place, Places } from '../chunks/chunk.js'
import { placesIn, suspectChunks } from '../chunks/chunk-index.js'
import { withReader, type ChunkReader } from '../chunks/chunk-reader.js'
import { errnoOf } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { verified, type Verified } from './opening.js'
import { verifyPack } from '../chunks/pack-file.js'
import { inOrder } from '../chunks/pack-writer.js'
import { withPlainFile } from '../chunks/sealed-end.js'
import { storageFailure, type Stocked } from './shelf.js'

export interface Damage {
  readonly code: string
  readonly message: string
  readonly details: object
}

export interface Validation {
  readonly valid: boolean
  readonly damaged: readonly Damage[]
}

/**
 * Hashes everything that the checkpoint needs. Chunks that are not what they should be are written anew by the next save
 * that holds them. Throws `unknown_checkpoint`, `foreign_checkpoint` (somebody else's), `storage_failed`.
 */
export async function validateCheckpoint(stocked: Stocked, id: string, owner: string | null): Promise<Validation> {
  let found: Verified
  try {
    found = await verified(stocked.shelf, id, owner)
  } catch (error) {
    const tells: readonly string[] = ['damaged_checkpoint', 'format_unsupported'] satisfies readonly PublicCode[]
    if (!(error instanceof SavepointError) || !tells.includes(error.code)) throw error
    return { valid: false, damaged: [damageOf(error)] }
  }
  // The signature of the first format covered all of it.
  if (found.format === 1) return { valid: true, damaged: [] }
  const { root, label } = found.contents
  try {
    const damaged = await withReader((reader) => damageIn(stocked, root, label.owner, reader))
    return { valid: damaged.length === 0, damaged }
  } catch (error) {
    throw storageFailure(error, found.path)
  }
}

async function damageIn(stocked: Stocked, root: Root, owner: string, reader: ChunkReader): Promise<Damage[]> {
  const places = placesIn(stocked.database, stocked.shelf.packsFolder, owner)
  const walk = new Walk(places, reader)
  let lists: Damage | null = null
  try {
    await walk.add(root)
  } catch (error) {
    if (!isDamage(error)) throw error
    lists = damageOf(error)
  }
  const { found, missing } = await placesOf(walk.digests, places)
  const changed = await unreadable(found, reader)
  if (changed.length > 0) await stocked.database.write((sql) => suspectChunks(sql, owner, changed))
  const packs = await damagedPacks(stocked, found)
  if (lists) return [lists, ...packs]
  const bad = new Set([...missing, ...changed])
  return bad.size === 0 ? packs : [...(await damagedParts(root, places, reader, bad)), ...packs]
}

/** Those that are not what their digest says, in the order in which they lie on the disk. */
async function unreadable(places: ReadonlyMap<Digest, Place>, reader: ChunkReader): Promise<Digest[]> {
  const changed: Digest[] = []
  for (const [digest, place] of inOrder(places)) {
    try {
      await reader.read(digest, place)
    } catch (error) {
      if (!isDamage(error)) throw error
      changed.push(digest)
    }
  }
  return changed
}

/** A pack whose own table is damaged serves those who know its chunks, until the index has to be made again. */
async function damagedPacks({ shelf }: Stocked, places: ReadonlyMap<Digest, Place>): Promise<Damage[]> {
  const damages: Damage[] = []
  for (const path of new Set([...places.values()].map(({ pack }) => pack))) {
    try {
      await withPlainFile(path, constants.O_RDONLY, (handle) => verifyPack(handle, shelf.key))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') continue
      if (!(error instanceof SavepointError)) throw error
      const message = 'The table of a pack is damaged: it can be read only as long as the database is kept. Save anew.'
      damages.push({ code: 'damaged_checkpoint', message, details: { pack: path, why: error.message } })
    }
  }
  return damages
}

/** Which variables and which other parts need one of `bad`. */
async function damagedParts(
  root: Root,
  places: Places,
  reader: ChunkReader,
  bad: ReadonlySet<Digest>,
): Promise<Damage[]> {
  const damages: Damage[] = []
  const others = new Walk(places, reader)
  await others.add({ ...root, variables: null })
  if (meets(others.digests, bad)) {
    const message = 'What the checkpoint keeps beside the variables (sources, history or the like) is damaged.'
    damages.push({ code: 'damaged_checkpoint', message, details: {} })
  }
  for await (const groups of groupsOf(new Walk(places, reader), root)) {
    for (const { objects, refs } of groups) {
      const walk = new Walk(places, reader)
      await walk.add({ ...root, variables: null, history: null, others: refs })
      if (!meets(walk.digests, bad)) continue
      const variables = objects.map(({ name }) => name).slice(0, storeLimits.damagedNamesMax)
      const message = `The data of ${variables.join(', ')} is damaged. Everything else can be restored.`
      damages.push({ code: 'damaged_checkpoint', message, details: { variables } })
      if (damages.length >= storeLimits.damagesMax) return damages
    }
  }
  return damages
}

function meets(digests: ReadonlySet<Digest>, bad: ReadonlySet<Digest>): boolean {
  for (const digest of bad) if (digests.has(digest)) return true
  return false
}

function isDamage(error: unknown): error is SavepointError {
  return error instanceof SavepointError && error.code === 'damaged_checkpoint'
}

function damageOf({ code, message, details }: SavepointError): Damage {
  return { code, message, details: details ?? {} }
}
