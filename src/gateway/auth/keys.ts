/** Keys that tokens are checked with, and the file they come in (RFC 7517). Pure. */

import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { authLimits } from './limits.js'

/** Each key has one algorithm, so that no token can choose how a key is used. */
export type Algorithm = 'HS256' | 'RS256' | 'ES256'

export interface VerificationKey {
  readonly id: string | null
  readonly algorithm: Algorithm
  readonly key: KeyObject
  /** `local`: made by the data folder for tokens of `savepoint token create`. `jwks`: of the operator's file. */
  readonly source: 'local' | 'jwks'
}

export interface KeySet {
  readonly keys: readonly VerificationKey[]
  /** Why entries were left out; names keys, never shows them. */
  readonly ignored: readonly string[]
}

type Jwk = Readonly<Record<string, unknown>>

const ALGORITHM_OF: Readonly<Record<string, Algorithm>> = { RSA: 'RS256', EC: 'ES256', oct: 'HS256' }

/** Throws an Error for what is no key set at all; entries that cannot be used here are left out. */
export function parseKeySet(text: string): KeySet {
  const whole: unknown = JSON.parse(text)
  const entries = isRecord(whole) ? whole['keys'] : undefined
  if (!Array.isArray(entries)) throw new Error('it has no list "keys"')
  const keys: VerificationKey[] = []
  const ignored: string[] = []
  entries.forEach((entry: unknown, index) => {
    const read = isRecord(entry) ? readKey(entry) : 'is no object'
    if (typeof read === 'string') ignored.push(`key ${nameOf(entry, index)} ${read}`)
    else if (keys.some(({ id, algorithm }) => id === read.id && algorithm === read.algorithm))
      ignored.push(`key ${nameOf(entry, index)} has the kid of another one`)
    else keys.push(read)
  })
  return { keys, ignored }
}

/** The one key that a token's header asks for, or null. Without a kid there must be no choice. */
export function chooseKey(
  keys: readonly VerificationKey[],
  header: { readonly alg: unknown; readonly kid: unknown },
): VerificationKey | null {
  const fitting = keys.filter(({ algorithm }) => algorithm === header.alg)
  if (header.kid !== undefined) return fitting.find(({ id }) => id !== null && id === header.kid) ?? null
  const unnamed = fitting.filter(({ source }) => source === 'jwks')
  return unnamed.length === 1 ? (unnamed[0] ?? null) : null
}

function readKey(jwk: Jwk): VerificationKey | string {
  const { kty, kid, alg, use, key_ops: operations } = jwk
  if (typeof kty !== 'string' || !Object.hasOwn(ALGORITHM_OF, kty)) return 'is not of kty RSA, EC or oct'
  const algorithm = ALGORITHM_OF[kty] as Algorithm
  if (alg !== undefined && alg !== algorithm) return `is not for ${algorithm}`
  if (use !== undefined && use !== 'sig') return 'is not for signatures'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return 'may not verify'
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) return 'has a kid that is no name'
  const key = kty === 'oct' ? secretKey(jwk) : publicKey(jwk)
  if (typeof key === 'string') return key
  return { id: kid ?? null, algorithm, key, source: 'jwks' }
}

function secretKey({ k }: Jwk): KeyObject | string {
  if (typeof k !== 'string') return 'has no secret'
  const bytes = Buffer.from(k, 'base64url')
  return bytes.length < authLimits.secretBytesMin
    ? `is shorter than ${authLimits.secretBytesMin} bytes`
    : createSecretKey(bytes)
}

// Only the public members are handed on: a private key that was put there by mistake is read as its public half.
function publicKey(jwk: Jwk): KeyObject | string {
  const { kty, n, e, crv, x, y } = jwk
  if (kty === 'EC' && crv !== 'P-256') return 'is not on the curve P-256'
  const members = kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }
  try {
    const key = createPublicKey({ key: members as JsonWebKey, format: 'jwk' })
    const bits = key.asymmetricKeyDetails?.modulusLength ?? Infinity
    return bits < authLimits.rsaBitsMin ? `is shorter than ${authLimits.rsaBitsMin} bits` : key
  } catch {
    return 'cannot be read'
  }
}

function nameOf(entry: unknown, index: number): string {
  const kid = isRecord(entry) ? entry['kid'] : undefined
  return typeof kid === 'string' ? JSON.stringify(kid.slice(0, 100)) : `number ${index + 1}`
}

function isRecord(value: unknown): value is Jwk {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
