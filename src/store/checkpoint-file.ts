/**
 * The checkpoint's file.
 *
 *     "SVPT1\n\0\0"                                    by the writer
 *     u32 BE length of the manifest, manifest (JSON)   by the writer
 *     sections                                         by the writer
 *     label (JSON), u32 BE length of the label         by us, when the file is sealed
 *     "SVPM", 8 bytes key id, 32 bytes MAC             by us
 *
 * The MAC (HMAC-SHA256) covers every byte before it, after a prefix that binds it to its purpose and owner. Nothing
 * but the MAC says that a file may be unpickled, so that it is checked before the file is given to anybody.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { SavepointError } from '../errors.js'
import type { CheckpointKey } from './checkpoint-key.js'
import { parseLabel, parseManifest } from './checkpoint-json.js'
import type { Contents, Label, Manifest } from './checkpoint-record.js'
import { readAt, writeAt } from './durable-files.js'
import { storeLimits } from './limits.js'

export const CHECKPOINT_SUFFIX = '.savepoint'

const MAGIC = Buffer.from('SVPT1\n\0\0', 'latin1')
const TRAILER_MAGIC = Buffer.from('SVPM', 'latin1')
const LENGTH_BYTES = 4
const KEY_ID_BYTES = 8
const MAC_BYTES = 32
const TRAILER_BYTES = TRAILER_MAGIC.length + KEY_ID_BYTES + MAC_BYTES
const HEAD_BYTES = MAGIC.length + LENGTH_BYTES

/** Opens a plain file, never what a symbolic link points to, for as long as `work` takes. */
export async function withCheckpoint<T>(
  path: string,
  flags: number,
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  // Without NONBLOCK, opening a FIFO of that name would wait for its other end.
  const handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if ((await handle.stat()).isFile()) return await work(handle)
    throw damaged('it is not a plain file')
  } finally {
    await handle.close()
  }
}

/**
 * Checks what a writer wrote, and appends label and MAC. Throws `damaged_checkpoint` for an unfinished or malformed
 * file; what is then in it stays unsigned.
 */
export async function sealFile(handle: FileHandle, label: Label, key: CheckpointKey): Promise<Contents> {
  const { size } = await handle.stat()
  const manifest = await readManifest(handle, size)
  const labelBytes = Buffer.from(JSON.stringify(label))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(labelBytes.length)
  const signed = Buffer.concat([labelBytes, length, TRAILER_MAGIC, Buffer.from(key.id, 'latin1')])
  await writeAt(handle, size, signed)
  const mac = await macOf(handle, size + signed.length, key, label.owner)
  await writeAt(handle, size + signed.length, mac)
  return { label, manifest, fileBytes: size + signed.length + MAC_BYTES, keyId: key.id }
}

/**
 * Reads a sealed file to its end and checks its MAC. Throws `damaged_checkpoint` (a changed bit, a missing end),
 * `foreign_checkpoint` (signed with another key), `format_unsupported` (by a newer release).
 */
export async function verifyFile(handle: FileHandle, key: CheckpointKey): Promise<Contents> {
  const { size } = await handle.stat()
  const trailer = await readTrailer(handle, size)
  if (trailer.keyId !== key.id) {
    throw new SavepointError(
      'foreign_checkpoint',
      'The checkpoint was signed with the key of another data folder. Restore it there: restoring runs code that it holds.',
    )
  }
  const { label } = await readLabel(handle, size)
  const mac = await macOf(handle, size - MAC_BYTES, key, label.owner)
  if (!timingSafeEqual(mac, trailer.mac)) throw damaged('its signature does not fit its content')
  return await readContents(handle)
}

/** What a sealed file says, unverified: good enough for a list, never for a restore. Throws as `verifyFile` does. */
export async function readContents(handle: FileHandle): Promise<Contents> {
  const { size } = await handle.stat()
  const { keyId } = await readTrailer(handle, size)
  const { label, at } = await readLabel(handle, size)
  return { label, manifest: await readManifest(handle, at), fileBytes: size, keyId }
}

/** The label of a sealed file, unverified, and where it begins: there the writer's part ends. */
async function readLabel(handle: FileHandle, size: number): Promise<{ label: Label; at: number }> {
  const lengthAt = size - TRAILER_BYTES - LENGTH_BYTES
  const length = (await readAt(handle, lengthAt, LENGTH_BYTES)).readUInt32BE()
  if (length > Math.min(storeLimits.labelBytesMax, lengthAt - HEAD_BYTES)) throw damaged('its label is malformed')
  const at = lengthAt - length
  return { label: parseLabel(await readAt(handle, at, length)), at }
}

async function readTrailer(handle: FileHandle, size: number): Promise<{ keyId: string; mac: Buffer }> {
  if (size < HEAD_BYTES + LENGTH_BYTES + TRAILER_BYTES) throw damaged('it is too short')
  const trailer = await readAt(handle, size - TRAILER_BYTES, TRAILER_BYTES)
  if (!trailer.subarray(0, TRAILER_MAGIC.length).equals(TRAILER_MAGIC)) throw damaged('its end is missing')
  const keyId = trailer.toString('latin1', TRAILER_MAGIC.length, TRAILER_MAGIC.length + KEY_ID_BYTES)
  return { keyId, mac: trailer.subarray(-MAC_BYTES) }
}

/** The manifest of a file whose writer's part ends at `end`. */
async function readManifest(handle: FileHandle, end: number): Promise<Manifest> {
  if (end < HEAD_BYTES) throw damaged('it is too short')
  const head = await readAt(handle, 0, HEAD_BYTES)
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged('it does not begin like a checkpoint')
  const length = head.readUInt32BE(MAGIC.length)
  if (length > Math.min(storeLimits.manifestBytesMax, end - HEAD_BYTES)) throw damaged('its manifest is malformed')
  return parseManifest(await readAt(handle, HEAD_BYTES, length), end)
}

async function macOf(handle: FileHandle, end: number, key: CheckpointKey, owner: string): Promise<Buffer> {
  const hmac = createHmac('sha256', key.bytes).update(`savepoint checkpoint 1\0${owner}\0`)
  for (let position = 0; position < end;) {
    const piece = await readAt(handle, position, Math.min(storeLimits.readBytes, end - position))
    if (piece.length === 0) throw damaged('it became shorter while it was read')
    hmac.update(piece)
    position += piece.length
  }
  return hmac.digest()
}

function damaged(why: string): SavepointError {
  return new SavepointError('damaged_checkpoint', `The checkpoint is damaged: ${why}. Restore another one.`, { why })
}
