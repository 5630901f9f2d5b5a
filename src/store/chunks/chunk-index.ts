/** The tables of chunks and packs: an index of the packs' own tables, from which it can be made again. */

import { join } from 'node:path'
import { DIGEST_BYTES, type Digest, type Place, type Places } from './chunk.js'
import type { Database, Row, Sql } from '../database.js'
import { storeLimits } from '../limits.js'
import { PACK_SUFFIX, type PackEntry } from './pack-file.js'
import { yieldTurn } from '../turns.js'

export interface PackRow {
  /** Its number in the table. */
  readonly pack: number
  readonly pack_id: string
  readonly subject: string
  readonly bytes: number
  readonly chunks: number
  /** When its last chunk was no longer needed; null: it has some that are. */
  readonly emptied_ms: number | null
}

/** Added to the codec of a chunk that was found damaged. */
const SUSPECT = 128

/** The chunks that one owner has, in packs of this folder. */
export function placesIn(database: Database, packsFolder: string, owner: string): Places {
  return {
    async find(digests) {
      const rows = await database.read((sql) => sql.all(FIND, owner, JSON.stringify(digests)))
      return new Map(rows.map((row) => [String(row['digest']), placeOf(row, packsFolder)]))
    },
  }
}

const PLACES = `
  SELECT lower(hex(digest)) AS digest, offset, stored, raw, codec, pack_id
  FROM chunks JOIN packs USING (pack)`
const FIND = `${PLACES} WHERE chunks.subject = ? AND digest IN (SELECT unhex(value) FROM json_each(?))`
export const FIND_IN_PACK = `${PLACES} WHERE chunks.pack = ?`

export function placeOf(row: Row, packsFolder: string): Place {
  return {
    pack: packPath(packsFolder, String(row['pack_id'])),
    offset: Number(row['offset']),
    stored: Number(row['stored']),
    raw: Number(row['raw']),
    codec: Number(row['codec']) % SUSPECT,
  }
}

export function packPath(packsFolder: string, packId: string): string {
  return join(packsFolder, packId + PACK_SUFFIX)
}

/** Takes up a sealed pack, a few thousand chunks at a time. A chunk that the owner already has stays where it is. */
export async function putPack(
  database: Database,
  pack: {
    readonly packId: string
    readonly owner: string
    readonly bytes: number
    readonly entries: readonly PackEntry[]
  },
): Promise<void> {
  const { packId, owner, bytes, entries } = pack
  for (let from = 0; from === 0 || from < entries.length; from += storeLimits.chunksAtOnce) {
    const some = entries.slice(from, from + storeLimits.chunksAtOnce)
    await database.write((sql) => {
      const number = addPack(sql, { packId, owner, bytes, chunks: entries.length })
      for (const { digest, offset, stored, raw, codec } of some) {
        const values = [owner, Buffer.from(digest, 'hex'), number, offset, stored, raw, codec]
        sql.run(PUT, ...values)
      }
    })
    await yieldTurn()
  }
}

// A chunk that was found damaged is replaced by its next copy.
const PUT = `
  INSERT INTO chunks (subject, digest, pack, offset, stored, raw, codec) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (subject, digest) DO UPDATE
  SET pack = excluded.pack, offset = excluded.offset, stored = excluded.stored, raw = excluded.raw, codec = excluded.codec
  WHERE chunks.codec >= ${SUSPECT}`

export interface NewPack {
  readonly packId: string
  readonly owner: string
  readonly bytes: number
  readonly chunks: number
}

/** The number of a pack, which has its row afterwards. */
export function addPack(sql: Sql, { packId, owner, bytes, chunks }: NewPack): number {
  const statement = 'INSERT OR IGNORE INTO packs (pack_id, subject, bytes, chunks) VALUES (?, ?, ?, ?)'
  sql.run(statement, packId, owner, bytes, chunks)
  return Number(sql.all('SELECT pack FROM packs WHERE pack_id = ?', packId)[0]?.['pack'])
}

/** Bytes of the owner's packs, but for those that are about to be removed. */
export function packBytesOf(sql: Sql, owner: string): number {
  const statement = 'SELECT total(bytes) AS bytes FROM packs WHERE subject = ? AND emptied_ms IS NULL'
  return Number(sql.all(statement, owner)[0]?.['bytes'])
}

/** All digests that the owner has, some thousands at a time: 32 bytes each, back to back. */
export async function* digestsOf(database: Database, owner: string): AsyncGenerator<Buffer> {
  let last: Uint8Array = Buffer.alloc(0)
  for (;;) {
    const rows = await database.read((sql) => sql.all(DIGESTS_AFTER, owner, last, storeLimits.knownAtOnce))
    if (rows.length === 0) return
    const some = rows.map((row) => Buffer.from(row['digest'] as ArrayBuffer))
    await yieldTurn()
    yield Buffer.concat(some, some.length * DIGEST_BYTES)
    last = some.at(-1) ?? last
  }
}

const DIGESTS_AFTER = `
  SELECT digest FROM chunks WHERE subject = ? AND digest > ? AND codec < ${SUSPECT} ORDER BY digest LIMIT ?`

/** Chunks that were found damaged: a writer is not told of them, so that it writes them anew. */
export function suspectChunks(sql: Sql, owner: string, digests: readonly Digest[]): void {
  sql.run(SUSPECTING, owner, JSON.stringify(digests))
}

const SUSPECTING = `
  UPDATE chunks SET codec = codec + ${SUSPECT}
  WHERE subject = ? AND codec < ${SUSPECT} AND digest IN (SELECT unhex(value) FROM json_each(?))`

/** Forgets a pack and its chunks. */
export function dropPack(sql: Sql, pack: number): void {
  sql.run('DELETE FROM chunks WHERE pack = ?', pack)
  sql.run('DELETE FROM packs WHERE pack = ?', pack)
}

export function allPacks(sql: Sql): PackRow[] {
  return sql.all('SELECT * FROM packs').map(packRow)
}

export function packRow(row: Row): PackRow {
  return {
    pack: Number(row['pack']),
    pack_id: String(row['pack_id']),
    subject: String(row['subject']),
    bytes: Number(row['bytes']),
    chunks: Number(row['chunks']),
    emptied_ms: row['emptied_ms'] === null ? null : Number(row['emptied_ms']),
  }
}
