/** Small files that only their owner may read: the gateway's token, the key of its signed tokens. */

import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { SavepointError } from '../../errors.js'
import { makeFolder } from '../../folders.js'

/** Makes a folder of mode 0700, or takes one that is there away from others. Throws `storage_failed`. */
export function makePrivateFolder(path: string): void {
  try {
    makeFolder(path, 0o700)
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o700)
  } catch (error) {
    throw unusable(path, error)
  }
}

/** null: there is none. Others who may read it no longer may. Throws `storage_failed`. */
export function readPrivateFile(path: string): Buffer | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      if ((fstatSync(file).mode & 0o077) !== 0) fchmodSync(file, 0o600)
      return readFileSync(file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (isMissing(error)) return null
    throw unusable(path, error)
  }
}

/** Replaces the file as a whole; nobody reads half of it. Throws `storage_failed`. */
export function writePrivateFile(path: string, bytes: string | Buffer): void {
  putInPlace(path, bytes, (draft) => renameSync(draft, path))
}

/**
 * Makes the file unless there is one, and returns what is in it: of two that are made at once one is kept. Throws
 * `storage_failed`.
 */
export function createPrivateFile(path: string, bytes: Buffer): Buffer {
  try {
    putInPlace(path, bytes, (draft) => linkSync(draft, path))
    return bytes
  } catch (error) {
    const others = codeOf((error as Error).cause) === 'EEXIST' ? readPrivateFile(path) : null
    if (others !== null) return others
    throw error
  }
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT'
}

function putInPlace(path: string, bytes: string | Buffer, place: (draft: string) => void): void {
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  try {
    makeFolder(dirname(path), 0o700)
    const file = openSync(draft, 'wx', 0o600)
    try {
      const whole = Buffer.from(bytes)
      for (let at = 0; at < whole.length;) at += writeSync(file, whole, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    place(draft)
  } catch (error) {
    throw unusable(path, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

function unusable(path: string, error: unknown): SavepointError {
  if (error instanceof SavepointError) return error
  const reason = codeOf(error) ?? String(error)
  const message = `${path} cannot be read or written (${reason}). Make it usable for its owner.`
  return new SavepointError('storage_failed', message, { path, reason }, { cause: error })
}
