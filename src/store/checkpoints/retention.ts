/** Which automatic checkpoints are kept, and how much room an owner has. */

import { stat } from 'node:fs/promises'
import { SavepointError } from '../../errors.js'
import * as index from './checkpoint-index.js'
import { packBytesOf } from '../chunks/chunk-index.js'
import type { Sql } from '../database.js'
import { errnoOf } from '../durable-files.js'
import type { Draft } from './sealing.js'
import type { Stocked } from './shelf.js'

/**
 * How many automatic checkpoints of a kernel are kept: the latest; and of the latest hours, days, weeks and months that
 * have any, the last of each.
 */
export interface KeepRules {
  readonly last?: number
  readonly hourly?: number
  readonly daily?: number
  readonly weekly?: number
  readonly monthly?: number
}

/** An automatic checkpoint. */
export interface Kept {
  readonly checkpoint_id: string
  /** As in its record. */
  readonly created_at: string
}

/** Those of `newestFirst` that no rule keeps. */
export function beyondRules(newestFirst: readonly Kept[], rules: KeepRules): string[] {
  const kept = new Set(newestFirst.slice(0, rules.last ?? 0).map(({ checkpoint_id }) => checkpoint_id))
  for (const [rule, bucketOf] of BUCKETS) {
    const buckets = new Set<string>()
    for (const { checkpoint_id, created_at } of newestFirst) {
      const bucket = bucketOf(created_at)
      if (buckets.has(bucket)) continue
      if (buckets.size >= (rules[rule] ?? 0)) break
      buckets.add(bucket)
      kept.add(checkpoint_id)
    }
  }
  return newestFirst.map(({ checkpoint_id }) => checkpoint_id).filter((id) => !kept.has(id))
}

const DAY_MS = 86_400_000

/** In UTC, so that no hour comes twice. */
const BUCKETS: readonly (readonly [keyof KeepRules, (created_at: string) => string])[] = [
  ['hourly', (created_at) => created_at.slice(0, 13)],
  ['daily', (created_at) => created_at.slice(0, 10)],
  // 1970 began on a Thursday; weeks begin on Mondays.
  ['weekly', (created_at) => String(Math.floor((Date.parse(created_at) / DAY_MS + 3) / 7))],
  ['monthly', (created_at) => created_at.slice(0, 7)],
]

/** The automatic checkpoints of a kernel that the rules give up: never where a kernel stands, never the newest. */
export function expiredOf(sql: Sql, owner: string, kernelId: string, rules: KeepRules): string[] {
  const automatic = index.automaticOf(sql, owner, kernelId)
  const heads = new Set(index.allHeads(sql, owner))
  return beyondRules(automatic, rules).filter((id) => !heads.has(id) && id !== automatic[0]?.checkpoint_id)
}

/** Bytes that an owner's checkpoints take on the disk; packs that are about to be removed are not counted. */
export function usedBytes(sql: Sql, owner: string): number {
  return index.fileBytesOf(sql, owner) + packBytesOf(sql, owner)
}

/** Bytes of what a writer has written. */
export async function draftBytes({ path, pack }: Draft): Promise<number> {
  let bytes = 0
  for (const file of [path, pack]) {
    try {
      bytes += (await stat(file)).size
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }
  return bytes
}

/** Throws `quota_exceeded` if with `added` bytes the owner has more than `bytesMax`; 0: no bound. */
export async function requireRoom(
  { database }: Stocked,
  owner: string,
  bytesMax: number,
  added: number,
): Promise<void> {
  if (bytesMax === 0) return
  const bytes = await database.read((sql) => usedBytes(sql, owner))
  if (added === 0 ? bytes < bytesMax : bytes + added <= bytesMax) return
  throw new SavepointError(
    'quota_exceeded',
    `The checkpoints take ${bytes} bytes${added > 0 ? `, and this one ${added} more` : ''}; ${bytesMax} are allowed (checkpoint.max_bytes). Delete some of them.`,
    { bytes, added_bytes: added, bytes_max: bytesMax },
  )
}
