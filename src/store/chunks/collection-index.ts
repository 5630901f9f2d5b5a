/** What a collection of garbage asks of the tables, and what it leaves in them. */

import type { Digest, Place } from './chunk.js'
import { FIND_IN_PACK, packRow, placeOf, type PackRow } from './chunk-index.js'
import type { Sql } from '../database.js'
import type { PackEntry } from './pack-file.js'

/** The number of the pack that was taken up last. */
export function latestPack(sql: Sql): number {
  return Number(sql.all('SELECT max(pack) AS pack FROM packs')[0]?.['pack'] ?? 0)
}

/** The numbers of the packs with these ids. */
export function packsNamed(sql: Sql, packIds: readonly string[]): number[] {
  const statement = 'SELECT pack FROM packs WHERE pack_id IN (SELECT value FROM json_each(?))'
  return sql.all(statement, JSON.stringify(packIds)).map(({ pack }) => Number(pack))
}

/** The owner's packs, up to a number. */
export function packsOf(sql: Sql, owner: string, latest: number): PackRow[] {
  return sql.all('SELECT * FROM packs WHERE subject = ? AND pack <= ? ORDER BY pack', owner, latest).map(packRow)
}

/** Those of them that have no chunk. */
export function emptyPacks(sql: Sql, owner: string, latest: number): PackRow[] {
  const statement = `SELECT * FROM packs WHERE subject = ? AND pack <= ?
    AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = packs.pack)`
  return sql.all(statement, owner, latest).map(packRow)
}

/** The pack has no chunk left; its file stays for a while. */
export function retire(sql: Sql, pack: number, nowMs: number): void {
  sql.run('UPDATE packs SET emptied_ms = ? WHERE pack = ?', nowMs, pack)
}

/** The owner's chunks after a digest, in their order. */
export function chunksAfter(
  sql: Sql,
  owner: string,
  after: Digest,
  limit: number,
): { readonly digest: Digest; readonly pack: number }[] {
  const statement = `SELECT lower(hex(digest)) AS digest, pack FROM chunks
    WHERE subject = ? AND digest > ? ORDER BY digest LIMIT ?`
  const rows = sql.all(statement, owner, Buffer.from(after, 'hex'), limit)
  return rows.map(({ digest, pack }) => ({ digest: String(digest), pack: Number(pack) }))
}

/** Forgets chunks, where they are not in a pack that came later. */
export function forgetChunks(sql: Sql, owner: string, digests: readonly Digest[], latest: number): void {
  sql.run(
    'DELETE FROM chunks WHERE subject = ? AND digest IN (SELECT unhex(value) FROM json_each(?)) AND pack <= ?',
    owner,
    JSON.stringify(digests),
    latest,
  )
  nextGeneration(sql, owner)
}

/** Stored bytes of the pack's chunks. */
export function liveBytes(sql: Sql, pack: number): number {
  return Number(sql.all('SELECT total(stored) AS bytes FROM chunks WHERE pack = ?', pack)[0]?.['bytes'])
}

export function chunksIn(sql: Sql, pack: number, packsFolder: string): (readonly [Digest, Place])[] {
  return sql.all(FIND_IN_PACK, pack).map((row) => [String(row['digest']), placeOf(row, packsFolder)])
}

/** Chunks of the packs `from` lie in another one from now on. */
export function moveChunks(
  sql: Sql,
  owner: string,
  to: number,
  entries: readonly PackEntry[],
  from: readonly number[],
): void {
  const statement = `UPDATE chunks SET pack = ?, offset = ?, stored = ?, raw = ?, codec = ?
    WHERE subject = ? AND digest = ? AND pack IN (SELECT value FROM json_each(?))`
  const packs = JSON.stringify(from)
  for (const { digest, offset, stored, raw, codec } of entries) {
    sql.run(statement, to, offset, stored, raw, codec, owner, Buffer.from(digest, 'hex'), packs)
  }
}

/** Grows whenever chunks of the owner were forgotten: who looked for some before that looks again. */
export function generationOf(sql: Sql, owner: string): number {
  const [row] = sql.all('SELECT generation FROM collections WHERE subject = ?', owner)
  return Number(row?.['generation'] ?? 0)
}

export function nextGeneration(sql: Sql, owner: string): void {
  const statement = `INSERT INTO collections (subject, generation, until_ms) VALUES (?, 1, 0)
    ON CONFLICT (subject) DO UPDATE SET generation = generation + 1`
  sql.run(statement, owner)
}

/** Something of the owner's was removed: there may be garbage. */
export function markDue(sql: Sql, owner: string): void {
  const statement = `INSERT INTO collections (subject, generation, until_ms, due) VALUES (?, 0, 0, 1)
    ON CONFLICT (subject) DO UPDATE SET due = 1`
  sql.run(statement, owner)
}

export function dueOwners(sql: Sql): string[] {
  return sql.all('SELECT subject FROM collections WHERE due = 1').map(({ subject }) => String(subject))
}

export function ownersOf(sql: Sql): string[] {
  return sql.all('SELECT DISTINCT subject FROM packs').map(({ subject }) => String(subject))
}

export interface Lease {
  readonly owner: string
  readonly holder: string
}

/**
 * Whether this process may collect; if so, what is due is taken as done. Two that collect at once do no harm, but the
 * work twice: a lease that its holder did not give back ends by itself.
 */
export function takeLease(sql: Sql, { owner, holder }: Lease, nowMs: number, untilMs: number): boolean {
  // One that would last longer than any was taken before the clock was set back.
  const taken = 'SELECT 1 FROM collections WHERE subject = ? AND holder IS NOT NULL AND until_ms > ? AND until_ms <= ?'
  if (sql.all(taken, owner, nowMs, untilMs).length > 0) return false
  const statement = `INSERT INTO collections (subject, generation, holder, until_ms) VALUES (?, 0, ?, ?)
    ON CONFLICT (subject) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms, due = 0`
  sql.run(statement, owner, holder, untilMs)
  return true
}

export function giveBack(sql: Sql, { owner, holder }: Lease): void {
  sql.run('UPDATE collections SET holder = NULL WHERE subject = ? AND holder = ?', owner, holder)
}
