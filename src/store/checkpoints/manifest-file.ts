/**
 * The manifest: the small file that is a checkpoint of the second format. What it holds lies in packs.
 *
 *     "SVPT2\n\0\0"                                    by the writer
 *     u32 BE length of the root, root (JSON)           by the writer
 *     label and MAC (sealed-end.ts)                    by us
 */

import type { FileHandle } from 'node:fs/promises'
import type { CheckpointKey } from './checkpoint-key.js'
import { parseLabel } from './checkpoint-json.js'
import type { Contents, Label } from './checkpoint-record.js'
import { parseRoot, type Root } from './checkpoint-root.js'
import { readAt, type Section } from '../durable-files.js'
import { storeLimits } from '../limits.js'
import { appendEnd, damaged, readEnd, requireKey, requireMac } from '../chunks/sealed-end.js'

export const MAGIC_2 = Buffer.from('SVPT2\n\0\0', 'latin1')

const LENGTH_BYTES = 4
const HEAD_BYTES = MAGIC_2.length + LENGTH_BYTES
const PURPOSE = 'checkpoint 2'

/** A manifest, and its root as the writer wrote it. */
export interface ManifestContents extends Contents {
  readonly root: Root
  readonly rootBytes: Buffer
}

/** What a writer has written of a manifest. Throws `damaged_checkpoint`, `format_unsupported`. */
export async function readDraft(handle: Section): Promise<{ root: Root; rootBytes: Buffer }> {
  const { size } = await handle.stat()
  return await readRoot(handle, size)
}

/** Appends label and MAC to a manifest that `readDraft` has read. */
export async function sealManifest(handle: FileHandle, label: Label, key: CheckpointKey): Promise<ManifestContents> {
  const { size } = await handle.stat()
  const { root, rootBytes } = await readRoot(handle, size)
  const fileBytes = await appendEnd(handle, size, label, { purpose: PURPOSE, owner: label.owner, key, from: 0 })
  return { label, manifest: root.manifest, fileBytes, keyId: key.id, root, rootBytes }
}

/**
 * Reads a manifest and checks its MAC. Throws `damaged_checkpoint`, `foreign_checkpoint` (signed with another key),
 * `format_unsupported` (by a newer release).
 */
export async function verifyManifest(handle: Section, key: CheckpointKey): Promise<ManifestContents> {
  const { size } = await handle.stat()
  const end = await readEnd(handle, size, HEAD_BYTES)
  requireKey(end, key)
  const { owner } = parseLabel(end.label)
  await requireMac(handle, end, { purpose: PURPOSE, owner, key, from: 0 })
  return await readManifestFile(handle)
}

/** What a manifest says, unverified: good enough for a list, never for a restore. Throws as `verifyManifest` does. */
export async function readManifestFile(handle: Section): Promise<ManifestContents> {
  const { size } = await handle.stat()
  const { keyId, label, labelAt } = await readEnd(handle, size, HEAD_BYTES)
  const { root, rootBytes } = await readRoot(handle, labelAt)
  const parsed = parseLabel(label)
  return { label: parsed, manifest: root.manifest, fileBytes: size, keyId, root, rootBytes }
}

/** What a writer writes of a manifest with that root. */
export function manifestBytes(rootBytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(rootBytes.length)
  return Buffer.concat([MAGIC_2, length, rootBytes])
}

/** The root of a manifest whose writer's part ends at `end`. */
async function readRoot(handle: Section, end: number): Promise<{ root: Root; rootBytes: Buffer }> {
  if (end < HEAD_BYTES) throw damaged('it is too short')
  const head = await readAt(handle, 0, HEAD_BYTES)
  if (!head.subarray(0, MAGIC_2.length).equals(MAGIC_2)) throw damaged('it does not begin like a checkpoint')
  const length = head.readUInt32BE(MAGIC_2.length)
  if (length > storeLimits.rootBytesMax || HEAD_BYTES + length !== end) throw damaged('its root is malformed')
  const rootBytes = await readAt(handle, HEAD_BYTES, length)
  return { root: parseRoot(rootBytes), rootBytes }
}
