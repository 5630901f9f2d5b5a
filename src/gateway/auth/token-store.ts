/**
 * The tokens that `savepoint token create` made, in the data folder.
 *
 *     keys/token.key         32 bytes that sign them
 *     tokens/ID.json         what is known of one; never the token itself
 *     tokens/revoked/DIGEST  an empty file for each id that was revoked, named by the id's SHA-256
 *
 * Each change is one file put in place or taken away, so that commands and gateways need no lock.
 */

import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import jsonwebtoken from 'jsonwebtoken'
import { SavepointError } from '../../errors.js'
import { LOCAL_ISSUER } from './jwt.js'
import type { VerificationKey } from './keys.js'
import { authLimits } from './limits.js'
import { isScope, type Scope } from './principal.js'
import { createPrivateFile, isMissing, makePrivateFolder, readPrivateFile, writePrivateFile } from './secret-file.js'

/** As `savepoint token list --json` shows it. Dates are ISO 8601. */
export interface TokenRecord {
  readonly id: string
  readonly subject: string
  readonly scopes: readonly Scope[]
  readonly created_at: string
  readonly expires_at: string | null
  readonly revoked: boolean
}

export interface NewToken {
  readonly subject: string
  readonly scopes: readonly Scope[]
  /** null: it does not expire. */
  readonly expiresAt: Date | null
}

export const tokenPlaces = (dataDir: string) => ({
  /** The gateway's own token. */
  own: join(dataDir, 'token'),
  key: join(dataDir, 'keys', 'token.key'),
  records: join(dataDir, 'tokens'),
  revoked: join(dataDir, 'tokens', 'revoked'),
})

/** The key that signs, made now if there is none. Throws `storage_failed`. */
export function localKey(dataDir: string): VerificationKey {
  const path = tokenPlaces(dataDir).key
  makePrivateFolder(dirname(path))
  return asKey(readPrivateFile(path) ?? createPrivateFile(path, randomBytes(authLimits.secretBytesMin)), path)
}

/** null: no token was made yet, or the key was taken away. Throws `storage_failed`. */
export function existingLocalKey(dataDir: string): VerificationKey | null {
  const path = tokenPlaces(dataDir).key
  const bytes = readPrivateFile(path)
  return bytes && asKey(bytes, path)
}

/** Makes a token. It is not kept: whoever gets it is the only one who has it. Throws `storage_failed`. */
export function createToken(dataDir: string, wanted: NewToken, now: Date): { token: string; record: TokenRecord } {
  const key = localKey(dataDir)
  const id = `tok_${randomBytes(10).toString('hex')}`
  const record: TokenRecord = {
    id,
    subject: wanted.subject,
    scopes: wanted.scopes,
    created_at: now.toISOString(),
    expires_at: wanted.expiresAt?.toISOString() ?? null,
    revoked: false,
  }
  const { revoked: _, ...kept } = record
  makePrivateFolder(tokenPlaces(dataDir).records)
  makePrivateFolder(tokenPlaces(dataDir).revoked)
  writePrivateFile(join(tokenPlaces(dataDir).records, `${id}.json`), `${JSON.stringify(kept)}\n`)
  const claims = {
    sub: wanted.subject,
    scopes: wanted.scopes,
    iat: Math.floor(now.getTime() / 1000),
    ...(wanted.expiresAt === null ? {} : { exp: Math.floor(wanted.expiresAt.getTime() / 1000) }),
  }
  const token = jsonwebtoken.sign(claims, key.key, {
    algorithm: 'HS256',
    keyid: key.id ?? '',
    issuer: LOCAL_ISSUER,
    audience: LOCAL_ISSUER,
    jwtid: id,
  })
  return { token, record }
}

/** Oldest first; files that are none of ours are passed over. Throws `storage_failed`. */
export function listTokens(dataDir: string): readonly TokenRecord[] {
  const revoked = revokedDigests(dataDir)
  return namesIn(tokenPlaces(dataDir).records)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => readRecord(dataDir, name.slice(0, -'.json'.length), revoked))
    .toSorted((one, other) => one.created_at.localeCompare(other.created_at))
}

/**
 * From now on the token is worthless. False: no such token was made here, and `foreign` was not given, which is for
 * ids of tokens that somebody else's issuer made. Throws `storage_failed`.
 */
export function revokeToken(dataDir: string, id: string, foreign = false): boolean {
  const known = listTokens(dataDir).some((record) => record.id === id)
  if (!known && !foreign) return false
  const { revoked } = tokenPlaces(dataDir)
  makePrivateFolder(revoked)
  writePrivateFile(join(revoked, digestOfId(id)), '')
  return true
}

/** Forgets tokens whose end has long come: they would be refused all the same. Throws `storage_failed`. */
export function forgetEnded(dataDir: string, now: Date): void {
  const { records, revoked } = tokenPlaces(dataDir)
  const end = now.getTime() - authLimits.forgetAfterS * 1000
  for (const { id, expires_at: expiresAt } of listTokens(dataDir)) {
    if (expiresAt === null || Date.parse(expiresAt) > end) continue
    rmSync(join(records, `${id}.json`), { force: true })
    rmSync(join(revoked, digestOfId(id)), { force: true })
  }
}

/** Of the ids that were revoked. Throws `storage_failed`. */
export function revokedDigests(dataDir: string): ReadonlySet<string> {
  return new Set(namesIn(tokenPlaces(dataDir).revoked))
}

// Ids of other issuers may be any text.
export function digestOfId(id: string): string {
  return createHash('sha256').update(id).digest('hex')
}

function asKey(bytes: Buffer, path: string): VerificationKey {
  if (bytes.length !== authLimits.secretBytesMin) {
    throw new SavepointError(
      'storage_failed',
      `${path} is not a key of ${authLimits.secretBytesMin} bytes. Put the right file back, or remove it: then all tokens that it signed are worthless.`,
      { path },
    )
  }
  const id = `local-${createHash('sha256').update(bytes).digest('hex').slice(0, 8)}`
  return { id, algorithm: 'HS256', key: createSecretKey(bytes), source: 'local' }
}

function readRecord(dataDir: string, id: string, revoked: ReadonlySet<string>): TokenRecord[] {
  const bytes = readPrivateFile(join(tokenPlaces(dataDir).records, `${id}.json`))
  try {
    const kept = JSON.parse(String(bytes)) as Partial<TokenRecord>
    if (kept.id !== id || typeof kept.subject !== 'string' || typeof kept.created_at !== 'string') return []
    return [
      {
        id,
        subject: kept.subject,
        scopes: Array.isArray(kept.scopes) ? kept.scopes.filter(isScope) : [],
        created_at: kept.created_at,
        expires_at: typeof kept.expires_at === 'string' ? kept.expires_at : null,
        revoked: revoked.has(digestOfId(id)),
      },
    ]
  } catch {
    return []
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw new SavepointError('storage_failed', `${folder} cannot be read. Make it readable for its owner.`, { folder })
  }
}
