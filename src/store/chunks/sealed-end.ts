/**
 * How files that a writer began are ended and signed: checkpoints, manifests and packs alike.
 *
 *     what the writer wrote
 *     label (JSON), u32 BE length of the label         by us, when the file is sealed
 *     "SVPM", 8 bytes key id, 32 bytes MAC             by us
 *
 * The MAC (HMAC-SHA256) covers what comes before it, after a prefix that binds it to its purpose and owner: a pack is
 * no manifest, and one tenant's is never another's.
 */

import { createHmac, timingSafeEqual, type Hmac } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { SavepointError } from '../../errors.js'
import type { CheckpointKey } from '../checkpoints/checkpoint-key.js'
import { readAt, writeAt, type Section } from '../durable-files.js'
import { storeLimits } from '../limits.js'

/** What a MAC is for; part of what it covers. */
export type Purpose = 'checkpoint 1' | 'checkpoint 2' | 'pack 1'

/** The end of a sealed file, unverified. */
export interface SealedEnd {
  readonly label: Buffer
  /** Where the label begins: there the writer's part ends. */
  readonly labelAt: number
  /** Where the MAC begins: it covers nothing from here on. */
  readonly macAt: number
  readonly keyId: string
  readonly mac: Buffer
}

export interface Signing {
  readonly purpose: Purpose
  readonly owner: string
  readonly key: CheckpointKey
  /** Where what is signed begins. */
  readonly from: number
}

const TRAILER_MAGIC = Buffer.from('SVPM', 'latin1')
const LENGTH_BYTES = 4
const KEY_ID_BYTES = 8
const MAC_BYTES = 32
const TRAILER_BYTES = TRAILER_MAGIC.length + KEY_ID_BYTES + MAC_BYTES

/** Opens a plain file, never what a symbolic link points to, for as long as `work` takes. */
export async function withPlainFile<T>(
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

/** Appends label and MAC to a file of `size` bytes; the bytes that it has then. */
export async function appendEnd(handle: FileHandle, size: number, label: object, signing: Signing): Promise<number> {
  const end = endBefore(label, signing.key)
  await writeAt(handle, size, end)
  const macAt = size + end.length
  await writeAt(handle, macAt, await macOf(handle, macAt, signing))
  return macAt + MAC_BYTES
}

/** Label and MAC for what is not in a file: `signed` is what the MAC covers before the label. */
export function endOf(signed: Buffer, label: object, { key, purpose, owner }: Omit<Signing, 'from'>): Buffer {
  const end = endBefore(label, key)
  return Buffer.concat([end, hmacOf(key, purpose, owner).update(signed).update(end).digest()])
}

function endBefore(label: object, key: CheckpointKey): Buffer {
  const labelBytes = Buffer.from(JSON.stringify(label))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(labelBytes.length)
  return Buffer.concat([labelBytes, length, TRAILER_MAGIC, Buffer.from(key.id, 'latin1')])
}

/**
 * Reads the end of a sealed file whose writer's part has `bodyBytesMin` bytes at least. Throws `damaged_checkpoint`.
 */
export async function readEnd(handle: Section, size: number, bodyBytesMin: number): Promise<SealedEnd> {
  if (size < bodyBytesMin + LENGTH_BYTES + TRAILER_BYTES) throw damaged('it is too short')
  const trailer = await readAt(handle, size - TRAILER_BYTES, TRAILER_BYTES)
  if (!trailer.subarray(0, TRAILER_MAGIC.length).equals(TRAILER_MAGIC)) throw damaged('its end is missing')
  const keyId = trailer.toString('latin1', TRAILER_MAGIC.length, TRAILER_MAGIC.length + KEY_ID_BYTES)
  const lengthAt = size - TRAILER_BYTES - LENGTH_BYTES
  const length = (await readAt(handle, lengthAt, LENGTH_BYTES)).readUInt32BE()
  if (length > Math.min(storeLimits.labelBytesMax, lengthAt - bodyBytesMin)) throw damaged('its label is malformed')
  const labelAt = lengthAt - length
  const label = await readAt(handle, labelAt, length)
  return { label, labelAt, macAt: size - MAC_BYTES, keyId, mac: trailer.subarray(-MAC_BYTES) }
}

/** Throws `foreign_checkpoint` when another key signed the file. */
export function requireKey(end: SealedEnd, key: CheckpointKey): void {
  if (end.keyId === key.id) return
  throw new SavepointError(
    'foreign_checkpoint',
    'The checkpoint was signed with the key of another data folder. Restore it there: restoring runs code that it holds.',
  )
}

/** Throws `damaged_checkpoint` when the MAC does not fit what it covers. */
export async function requireMac(handle: Section, end: SealedEnd, signing: Signing): Promise<void> {
  const mac = await macOf(handle, end.macAt, signing)
  if (!timingSafeEqual(mac, end.mac)) throw damaged('its signature does not fit its content')
}

async function macOf(handle: Section, end: number, { purpose, owner, key, from }: Signing): Promise<Buffer> {
  const hmac = hmacOf(key, purpose, owner)
  for (let position = from; position < end;) {
    const piece = await readAt(handle, position, Math.min(storeLimits.readBytes, end - position))
    if (piece.length === 0) throw damaged('it became shorter while it was read')
    hmac.update(piece)
    position += piece.length
  }
  return hmac.digest()
}

function hmacOf(key: CheckpointKey, purpose: Purpose, owner: string): Hmac {
  return createHmac('sha256', key.bytes).update(`savepoint ${purpose}\0${owner}\0`)
}

export function damaged(why: string, details: object = {}): SavepointError {
  const message = `The checkpoint is damaged: ${why}. Restore another one.`
  return new SavepointError('damaged_checkpoint', message, { why, ...details })
}
