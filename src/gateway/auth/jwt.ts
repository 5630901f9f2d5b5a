/**
 * Signed tokens (RFC 7519, with the advice of RFC 8725). Pure.
 *
 * The key decides the algorithm, never the token. Whatever in a header would let the token bring its own key, or change
 * what is signed, makes it worthless; what is not signed by a key of ours is not looked at.
 */

import jsonwebtoken from 'jsonwebtoken'
import { chooseKey, type VerificationKey } from './keys.js'
import { authLimits } from './limits.js'
import { LOCAL_SUBJECT, scopesOf, type Principal } from './principal.js'

export interface JwtRules {
  /** Of tokens that keys of the JWKS file sign. */
  readonly issuer: string | null
  readonly audience: string | null
}

/** `iss` and `aud` of the tokens that `savepoint token create` makes. */
export const LOCAL_ISSUER = 'savepoint'

/** For the log; a client is told only whether its own token has ended. */
export type Fault =
  'malformed' | 'header' | 'key' | 'signature' | 'expired' | 'not_yet' | 'issuer' | 'audience' | 'claims' | 'revoked'

export type JwtVerdict = { readonly principal: Omit<Principal, 'from'>; readonly key: VerificationKey } | Fault

/** Members of a header that name, fetch or bring keys (RFC 7515 section 4.1), or must be understood. */
const FORBIDDEN_MEMBERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc']

export function verifyJwt(
  token: string,
  keys: readonly VerificationKey[],
  rules: JwtRules,
  now: Date,
  revoked: (tokenId: string) => boolean,
): JwtVerdict {
  const header = headerOf(token)
  if (header === null) return 'malformed'
  if (FORBIDDEN_MEMBERS.some((member) => Object.hasOwn(header, member)) || !isJwtType(header['typ'])) return 'header'
  const key = chooseKey(keys, { alg: header['alg'], kid: header['kid'] })
  if (key === null) return 'key'
  const local = key.source === 'local'
  const issuer = local ? LOCAL_ISSUER : rules.issuer
  const audience = local ? LOCAL_ISSUER : rules.audience
  try {
    const claims = jsonwebtoken.verify(token, key.key, {
      algorithms: [key.algorithm],
      clockTimestamp: Math.floor(now.getTime() / 1000),
      clockTolerance: authLimits.leewayS,
      ...(issuer === null ? {} : { issuer }),
      ...(audience === null ? {} : { audience }),
    })
    if (typeof claims === 'string') return 'claims'
    const principal = principalOf(claims, local)
    if (principal === null) return 'claims'
    if (principal.tokenId !== null && revoked(principal.tokenId)) return 'revoked'
    return { principal, key }
  } catch (error) {
    return faultOf(error)
  }
}

/** Three parts in base64url; whether it is one is seen when it is verified. */
export function looksLikeJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)
}

function headerOf(token: string): Record<string, unknown> | null {
  if (!looksLikeJwt(token)) return null
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8'))
    return typeof header === 'object' && header !== null && !Array.isArray(header) ? { ...header } : null
  } catch {
    return null
  }
}

function isJwtType(type: unknown): boolean {
  return type === undefined || (typeof type === 'string' && /^(application\/)?(at\+)?jwt$/i.test(type))
}

// A token of somebody else's issuer always ends, and is never that of the gateway's own user. One of ours can be named,
// so that it can be revoked.
function principalOf(claims: jsonwebtoken.JwtPayload, local: boolean): Omit<Principal, 'from'> | null {
  const { sub, jti, exp } = claims
  if (typeof sub !== 'string' || !isSubject(sub) || (!local && sub === LOCAL_SUBJECT)) return null
  if (exp === undefined ? !local : !Number.isFinite(exp)) return null
  if (jti === undefined ? local : typeof jti !== 'string' || jti === '') return null
  return {
    subject: sub,
    scopes: scopesOf(claims['scopes'] ?? claims['scope']),
    tokenId: jti ?? null,
    expiresAt: exp === undefined ? null : exp * 1000,
  }
}

/** 1 to 256 characters, none of them a control character. */
export function isSubject(subject: string): boolean {
  return subject.length > 0 && subject.length <= authLimits.subjectCharsMax && !/\p{Cc}/u.test(subject)
}

function faultOf(error: unknown): Fault {
  if (error instanceof jsonwebtoken.TokenExpiredError) return 'expired'
  if (error instanceof jsonwebtoken.NotBeforeError) return 'not_yet'
  const message = error instanceof Error ? error.message : ''
  if (message.startsWith('jwt issuer')) return 'issuer'
  if (message.startsWith('jwt audience')) return 'audience'
  return /signature|algorithm/.test(message) ? 'signature' : 'malformed'
}
