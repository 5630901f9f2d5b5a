/**
 * The checkpoint's file of the first format, which held all of a checkpoint:
 *
 *     "SVPT1\n\0\0"
 *     u32 BE length of the manifest, manifest (JSON)
 *     sections
 *     label and MAC (sealed-end.ts)
 *
 * Nothing but the MAC says that a file may be unpickled, so that it is checked before the file is given to anybody.
 */

import type { FileHandle } from 'node:fs/promises'
import type { CheckpointKey } from './checkpoint-key.js'
import { storedObject, type StoredObject } from './checkpoint-contents.js'
import { objects, parseLabel, parseManifest, parseObject } from './checkpoint-json.js'
import type { Contents, Label, Manifest } from './checkpoint-record.js'
import { readAt, type Section } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { appendEnd, damaged, readEnd, requireKey, requireMac } from '../chunks/sealed-end.js'

export const MAGIC_1 = Buffer.from('SVPT1\n\0\0', 'latin1')

const LENGTH_BYTES = 4
const HEAD_BYTES = MAGIC_1.length + LENGTH_BYTES
const PURPOSE = 'checkpoint 1'

/**
 * Checks what a writer wrote, and appends label and MAC. Throws `damaged_checkpoint` for an unfinished or malformed
 * file; what is then in it stays unsigned.
 */
export async function sealFile(handle: FileHandle, label: Label, key: CheckpointKey): Promise<Contents> {
  const { size } = await handle.stat()
  const manifest = await readManifest(handle, size)
  const fileBytes = await appendEnd(handle, size, label, { purpose: PURPOSE, owner: label.owner, key, from: 0 })
  return { label, manifest, fileBytes, keyId: key.id }
}

/**
 * Reads a sealed file to its end and checks its MAC. Throws `damaged_checkpoint` (a changed bit, a missing end),
 * `foreign_checkpoint` (signed with another key), `format_unsupported` (by a newer release).
 */
export async function verifyFile(handle: Section, key: CheckpointKey): Promise<Contents> {
  const { size } = await handle.stat()
  const end = await readEnd(handle, size, HEAD_BYTES)
  requireKey(end, key)
  const { owner } = parseLabel(end.label)
  await requireMac(handle, end, { purpose: PURPOSE, owner, key, from: 0 })
  return await readContents(handle)
}

/** What a sealed file says, unverified: good enough for a list, never for a restore. Throws as `verifyFile` does. */
export async function readContents(handle: Section): Promise<Contents> {
  const { size } = await handle.stat()
  const { keyId, label, labelAt } = await readEnd(handle, size, HEAD_BYTES)
  return { label: parseLabel(label), manifest: await readManifest(handle, labelAt), fileBytes: size, keyId }
}

/** How many bytes the writer wrote: all before the label. */
export async function writersPart(handle: Section): Promise<number> {
  return (await readEnd(handle, (await handle.stat()).size, HEAD_BYTES)).labelAt
}

/** The variables that a verified file lists. Throws `damaged_checkpoint`. */
export async function readObjects(handle: Section): Promise<StoredObject[]> {
  const { size } = await handle.stat()
  return objects(parseObject(await readManifestBytes(handle, size), 'manifest'), 'objects').map(storedObject)
}

/** The manifest of a file whose writer's part ends at `end`. */
async function readManifest(handle: Section, end: number): Promise<Manifest> {
  return parseManifest(await readManifestBytes(handle, end), end)
}

async function readManifestBytes(handle: Section, end: number): Promise<Buffer> {
  if (end < HEAD_BYTES) throw damaged('it is too short')
  const head = await readAt(handle, 0, HEAD_BYTES)
  if (!head.subarray(0, MAGIC_1.length).equals(MAGIC_1)) throw damaged('it does not begin like a checkpoint')
  const length = head.readUInt32BE(MAGIC_1.length)
  if (length > Math.min(storeLimits.manifestBytesMax, end - HEAD_BYTES)) throw damaged('its manifest is malformed')
  return await readAt(handle, HEAD_BYTES, length)
}
