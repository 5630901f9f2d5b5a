/** Keys and revocations as they stand in files now: looked at when they are needed, read when they have changed. */

import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../../clock.js'
import { SavepointError } from '../../errors.js'
import { silentLog, type Log } from '../../log.js'
import type { KeySource } from './gate.js'
import { parseKeySet, type VerificationKey } from './keys.js'
import { authLimits } from './limits.js'
import { isMissing } from './secret-file.js'
import { digestOfId, existingLocalKey, revokedDigests, tokenPlaces } from './token-store.js'

/**
 * Reads the data folder's key and revocations and, if there is one, the operator's JWKS file. Throws USAGE if that file
 * cannot be used now. Later a file that cannot be understood changes nothing, as it may be half written; one that is
 * gone takes its keys along.
 */
export function openKeyFiles(dataDir: string, jwks: string | null, clock: Clock, log: Log): KeySource {
  const places = tokenPlaces(dataDir)
  const local = watched(places.key, () => existingLocalKey(dataDir), null)
  const revocations = watched(places.revoked, () => revokedDigests(dataDir), new Set<string>())
  const foreign = jwks === null ? null : watched(jwks, () => readKeySet(jwks, log), firstKeySet(jwks))

  function look<T>(file: Watched<T>): T {
    return file.now(clock, (error) => {
      const reason = error instanceof Error ? error.message : String(error)
      log('error', 'auth_file_unusable', { path: file.path, reason, remedy: 'what it held before still counts' })
    })
  }

  if (foreign !== null) {
    if (look(foreign).length === 0)
      throw new SavepointError('USAGE', `auth.jwks: ${jwks} holds no key that can be used.`)
  }
  return {
    keys: () => [look(local) ?? [], foreign === null ? [] : look(foreign)].flat(),
    revoked: (id) => look(revocations).has(digestOfId(id)),
  }
}

// A file that helps nobody is a mistake of whoever starts the gateway, and said at once.
function firstKeySet(path: string): readonly VerificationKey[] {
  try {
    if (readKeySet(path, silentLog).length > 0) return []
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SavepointError('USAGE', `auth.jwks: ${path} cannot be used: ${reason}.`, { path }, { cause: error })
  }
  throw new SavepointError('USAGE', `auth.jwks: ${path} holds no key that can be used here.`, { path })
}

function readKeySet(path: string, log: Log): readonly VerificationKey[] {
  const text = readFileSync(path, 'utf8')
  if (text.length > authLimits.jwksBytesMax) throw new Error(`it is larger than ${authLimits.jwksBytesMax} bytes`)
  const { keys, ignored } = parseKeySet(text)
  for (const reason of ignored) log('warn', 'auth_key_ignored', { path, reason })
  return keys
}

interface Watched<T> {
  readonly path: string
  now(clock: Clock, failed: (error: unknown) => void): T
}

// A change is seen by the file's stamp. A file that changed again in the moment in which it was read may keep its stamp,
// so a young one is read anew.
function watched<T>(path: string, read: () => T, without: T): Watched<T> {
  let value = without
  let stamp = ''
  let lookedAt = -Infinity
  return {
    path,
    now(clock, failed) {
      if (clock.now() - lookedAt < authLimits.fileLookMs) return value
      lookedAt = clock.now()
      const stamped = stampOf(path, clock.date())
      if (stamped === stamp && !stamped.endsWith('young')) return value
      stamp = stamped
      try {
        value = stamped === 'none' ? without : read()
      } catch (error) {
        if (isMissing(error)) value = without
        else failed(error)
      }
      return value
    },
  }
}

function stampOf(path: string, now: Date): string {
  try {
    const { mtimeNs, ctimeNs, size, ino } = statSync(path, { bigint: true })
    const young = now.getTime() - Number(mtimeNs / 1_000_000n) < authLimits.fileYoungMs
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}${young ? ' young' : ''}`
  } catch (error) {
    return isMissing(error) ? 'none' : 'unreadable'
  }
}
