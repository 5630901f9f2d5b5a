/**
 * A pack: the chunks that one save added.
 *
 *     "SVPK1\n\0\0"                                             by the writer
 *     stored chunks back to back                                by the writer
 *     table: an entry of 49 bytes for each chunk                by the writer
 *     u32 BE count of the entries                               by the writer
 *     label and MAC (sealed-end.ts)                             by us
 *
 * The MAC covers table, count and label; the chunks are covered by their digests in the table. So a pack of any size is
 * signed at once, and a damaged chunk costs that chunk.
 */

import type { FileHandle } from 'node:fs/promises'
import { v7 } from 'uuid'
import type { CheckpointKey } from '../checkpoints/checkpoint-key.js'
import { parsePackLabel } from '../checkpoints/checkpoint-json.js'
import { CODECS, DIGEST_BYTES, type Digest } from './chunk.js'
import { readAt, type Section } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { appendEnd, damaged, endOf, readEnd, requireKey, requireMac } from './sealed-end.js'

export const PACK_SUFFIX = '.pack'

/** What we put into a pack beside the chunks. */
export interface PackLabel {
  readonly pack_id: string
  readonly owner: string
  readonly created_at: string
}

export interface PackEntry {
  readonly digest: Digest
  readonly offset: number
  readonly stored: number
  readonly raw: number
  readonly codec: number
}

export interface PackContents {
  readonly label: PackLabel
  readonly entries: readonly PackEntry[]
  readonly fileBytes: number
}

export const PACK_MAGIC = Buffer.from('SVPK1\n\0\0', 'latin1')
const PURPOSE = 'pack 1'
const ENTRY_BYTES = 49
const COUNT_BYTES = 4
const BODY_BYTES_MIN = PACK_MAGIC.length + COUNT_BYTES

/** The id of the pack that is written for a checkpoint. */
export function packIdOf(checkpointId: string): string {
  return `pk_${checkpointId.slice(3)}`
}

/** Later ids sort after earlier ones. */
export function newPackId(): string {
  return `pk_${v7().replaceAll('-', '')}`
}

export function isPackId(text: string): boolean {
  return /^pk_[0-9a-f]{32}$/.test(text)
}

/** What a writer has written of a pack; nothing vouches for it yet. Throws `damaged_checkpoint`. */
export async function readDraftPack(handle: Section): Promise<readonly PackEntry[]> {
  const { size } = await handle.stat()
  return (await readTable(handle, size)).entries
}

/** Appends label and MAC to what a writer wrote; the bytes that the file has then. Throws `damaged_checkpoint`. */
export async function sealPack(handle: FileHandle, label: PackLabel, key: CheckpointKey): Promise<number> {
  const { size } = await handle.stat()
  const { tableAt } = await readTable(handle, size)
  return await appendEnd(handle, size, label, { purpose: PURPOSE, owner: label.owner, key, from: tableAt })
}

/** Reads a sealed pack's table and checks its MAC, not its chunks. Throws `damaged_checkpoint`, `foreign_checkpoint`. */
export async function verifyPack(handle: Section, key: CheckpointKey): Promise<PackContents> {
  const { size } = await handle.stat()
  const end = await readEnd(handle, size, BODY_BYTES_MIN)
  requireKey(end, key)
  const label = parsePackLabel(end.label)
  const { entries, tableAt } = await readTable(handle, end.labelAt)
  await requireMac(handle, end, { purpose: PURPOSE, owner: label.owner, key, from: tableAt })
  return { label, entries, fileBytes: size }
}

/** The table of a pack whose writer's part ends at `end`. */
async function readTable(handle: Section, end: number): Promise<{ entries: PackEntry[]; tableAt: number }> {
  if (end < BODY_BYTES_MIN) throw damaged('a pack of it is too short')
  if (!(await readAt(handle, 0, PACK_MAGIC.length)).equals(PACK_MAGIC)) throw damaged('a pack of it begins like none')
  const count = (await readAt(handle, end - COUNT_BYTES, COUNT_BYTES)).readUInt32BE()
  const tableAt = end - COUNT_BYTES - count * ENTRY_BYTES
  if (tableAt < PACK_MAGIC.length) throw damaged('the table of a pack of it is malformed')
  const entries: PackEntry[] = []
  const perPiece = storeLimits.chunksAtOnce
  for (let from = 0; from < count; from += perPiece) {
    const length = Math.min(perPiece, count - from) * ENTRY_BYTES
    const piece = await readAt(handle, tableAt + from * ENTRY_BYTES, length)
    if (piece.length < length) throw damaged('a pack of it became shorter while it was read')
    for (let at = 0; at < length; at += ENTRY_BYTES) entries.push(entryAt(piece, at, tableAt))
  }
  // They lie back to back, so that a table that was moved or cut does not fit.
  const storedBytes = entries.reduce((sum, { stored }) => sum + stored, 0)
  if (storedBytes !== tableAt - PACK_MAGIC.length) throw damaged('the table of a pack of it is malformed')
  return { entries, tableAt }
}

/** `chunksEnd`: no chunk reaches beyond it. */
function entryAt(bytes: Buffer, at: number, chunksEnd: number): PackEntry {
  const digest = bytes.toString('hex', at, at + DIGEST_BYTES)
  const offset = Number(bytes.readBigUInt64BE(at + 32))
  const stored = bytes.readUInt32BE(at + 40)
  const raw = bytes.readUInt32BE(at + 44)
  const codec = bytes.readUInt8(at + 48)
  const lies = offset >= PACK_MAGIC.length && offset + stored <= chunksEnd
  const fits = codec === CODECS.raw ? stored === raw : codec === CODECS.zlib
  if (!lies || !fits || raw > storeLimits.chunkBytesMax) throw damaged('the table of a pack of it is malformed')
  return { digest, offset, stored, raw, codec }
}

/** All that comes after the chunks of a pack that is not written by a writer. */
export function packTail(entries: readonly PackEntry[], label: PackLabel, key: CheckpointKey): Buffer {
  const table = tableOf(entries)
  return Buffer.concat([table, endOf(table, label, { purpose: PURPOSE, owner: label.owner, key })])
}

/** The bytes of a table, its count included. */
export function tableOf(entries: readonly PackEntry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES + COUNT_BYTES)
  let at = 0
  for (const { digest, offset, stored, raw, codec } of entries) {
    bytes.write(digest, at, 'hex')
    bytes.writeBigUInt64BE(BigInt(offset), at + 32)
    bytes.writeUInt32BE(stored, at + 40)
    bytes.writeUInt32BE(raw, at + 44)
    bytes.writeUInt8(codec, at + 48)
    at += ENTRY_BYTES
  }
  bytes.writeUInt32BE(entries.length, at)
  return bytes
}
