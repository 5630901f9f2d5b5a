/** The token of the data folder: made once, kept in its file `token`, the same for every gateway there. */

import { randomBytes } from 'node:crypto'
import { createPrivateFile, readPrivateFile, writePrivateFile } from '../gateway/auth/secret-file.js'
import { tokenPlaces } from '../gateway/auth/token-store.js'

/** Bytes of randomness; as much as Jupyter's own tokens have. */
const TOKEN_BYTES = 24

/** The token, made if there is none. Throws `storage_failed`. */
export function ownToken(dataDir: string): string {
  const kept = keptToken(dataDir)
  if (kept !== null) return kept
  const path = tokenPlaces(dataDir).own
  const token = randomBytes(TOKEN_BYTES).toString('hex')
  const there = createPrivateFile(path, Buffer.from(`${token}\n`))
    .toString()
    .trim()
  if (there !== '') return there
  // An empty file is nobody's token.
  writePrivateFile(path, `${token}\n`)
  return token
}

/** The token of a data folder, or null if no gateway ever ran there. Throws `storage_failed`. */
export function keptToken(dataDir: string): string | null {
  return readPrivateFile(tokenPlaces(dataDir).own)?.toString().trim() || null
}
