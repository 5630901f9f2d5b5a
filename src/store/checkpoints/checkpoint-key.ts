/** The key that signs checkpoints: one for a data folder, made by whichever process needs it first. */

import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SavepointError } from '../../errors.js'
import { makeOwnFolder } from '../data-dir.js'
import { errnoOf, readAt, removeQuietly, syncFolder } from '../durable-files.js'

export interface CheckpointKey {
  readonly bytes: Buffer
  /** 8 hexadecimal digits that name the key without giving it away. */
  readonly id: string
}

const KEY_BYTES = 32

/** The data folder's key, made now if there is none. Throws `storage_failed`. */
export async function loadCheckpointKey(dataDir: string): Promise<CheckpointKey> {
  const path = join(dataDir, 'keys', 'checkpoint.key')
  try {
    await makeOwnFolder(dirname(path))
    const bytes = (await readKey(path)) ?? (await createKey(path))
    return keyOf(bytes)
  } catch (error) {
    if (error instanceof SavepointError) throw error
    const reason = errnoOf(error) ?? String(error)
    const message = `The key of checkpoints, ${path}, cannot be used (${reason}). Make it readable for its owner.`
    throw new SavepointError('storage_failed', message, { path, reason }, { cause: error })
  }
}

/**
 * The key of another data folder that this one's owner has put into `keys/trusted`; null: there is none of that name.
 * Throws `storage_failed`.
 */
export async function loadTrustedKey(keysFolder: string, name: string): Promise<CheckpointKey | null> {
  // Nothing else becomes part of a path.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return null
  const bytes = await readKey(join(keysFolder, 'trusted', `${name}.key`))
  return bytes && keyOf(bytes)
}

function keyOf(bytes: Buffer): CheckpointKey {
  return { bytes, id: createHash('sha256').update(bytes).digest('hex').slice(0, 8) }
}

async function readKey(path: string): Promise<Buffer | null> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      const { mode } = await handle.stat()
      if ((mode & 0o077) !== 0) await handle.chmod(0o600)
      const bytes = await readAt(handle, 0, KEY_BYTES + 1)
      if (bytes.length === KEY_BYTES) return bytes
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  throw new SavepointError(
    'storage_failed',
    `${path} is not a key of ${KEY_BYTES} bytes. Put the right file back; without it, checkpoints that it signed cannot be restored.`,
    { path },
  )
}

// Written aside and linked into place: nobody ever reads half a key, and of two that are made at once one is kept.
async function createKey(path: string): Promise<Buffer> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  const bytes = randomBytes(KEY_BYTES)
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await link(draft, path)
    await syncFolder(dirname(path))
    return bytes
  } catch (error) {
    const others = errnoOf(error) === 'EEXIST' ? await readKey(path) : null
    if (others) return others
    throw error
  } finally {
    await removeQuietly(draft)
  }
}
