/**
 * The decision whether a request or an upgrade is let in. Pure: keys, rules and time are given.
 *
 * In this order: by which name we are called, from which page it comes, whether the route wants a token at all, whose
 * token it is. Nothing of the request is read before.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { BlockList } from 'node:net'
import { originationOf } from './address.js'
import type { RequestFacts } from './facts.js'
import { looksLikeJwt, verifyJwt, type Fault, type JwtRules } from './jwt.js'
import type { VerificationKey } from './keys.js'
import { authLimits } from './limits.js'
import { checkHost, checkOrigin, type OriginRules } from './origin.js'
import { LOCAL_SUBJECT, type Principal } from './principal.js'
import { refuse, type Refusal } from './refusal.js'
import { isOpen } from './routes.js'
import { findToken, type FoundToken } from './token-place.js'

export interface AuthRules extends OriginRules, JwtRules {
  readonly proxies: BlockList
}

export interface Credentials {
  /** SHA-256 of the gateway's own token; null: nobody needs one. */
  readonly tokenDigest: Buffer | null
  /** Asked only for a token that is signed. */
  readonly keys: () => readonly VerificationKey[]
  readonly revoked: (tokenId: string) => boolean
}

export interface Admitted {
  readonly principal: Principal
  /** The key that signed its token, if one did. */
  readonly key: VerificationKey | null
}
export interface Rejected {
  readonly refusal: Refusal
  /** What was wrong with the token that was shown, for the log; null: none was shown, or it was not looked at. */
  readonly fault: Fault | 'unknown' | null
}

/** For routes that want no token. */
const ANYBODY: Principal = { subject: '', scopes: new Set(), tokenId: null, expiresAt: null, from: 'nowhere' }

export function judge(facts: RequestFacts, rules: AuthRules, credentials: Credentials, now: Date): Admitted | Rejected {
  const found = findToken(facts)
  const { secure } = originationOf(facts.headers, facts.peer, facts.encrypted, rules.proxies)
  const elsewhere =
    checkHost(facts.headers, rules) ??
    (mustCheckOrigin(facts, found, credentials) ? checkOrigin(facts.headers, secure, rules) : null)
  if (elsewhere !== null) return { refusal: elsewhere, fault: null }
  if (isOpen(facts)) return { principal: ANYBODY, key: null }
  if (isNowhere(facts))
    return { refusal: refuse(404, 'not_found', 'There is nothing here. The API begins at /api.'), fault: null }
  if (credentials.tokenDigest === null) return { principal: owner('nowhere'), key: null }
  if (found === null)
    return {
      refusal: refuse(
        401,
        'unauthorized',
        'A token is needed: Authorization: Bearer TOKEN. The gateway printed one when it started.',
      ),
      fault: null,
    }
  return judgeToken(found, rules, credentials, now)
}

/** What a token is compared by: equal length, so that the comparison takes the same time whatever was sent. */
export function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function judgeToken(
  { token, from }: FoundToken,
  rules: AuthRules,
  credentials: Credentials,
  now: Date,
): Admitted | Rejected {
  if (credentials.tokenDigest !== null && timingSafeEqual(digestOf(token), credentials.tokenDigest))
    return { principal: owner(from), key: null }
  if (!looksLikeJwt(token)) return wrong('unknown')
  if (token.length > authLimits.tokenCharsMax) return wrong('malformed')
  const verdict = verifyJwt(token, credentials.keys(), rules, now, credentials.revoked)
  if (typeof verdict === 'string') return wrong(verdict)
  return { principal: { ...verdict.principal, from }, key: verdict.key }
}

// A page may make a browser send anything but an Authorization header to us, unless it was allowed to. An upgrade is
// checked in any case, and everything is where no token is needed. A preflight only asks.
function mustCheckOrigin(facts: RequestFacts, found: FoundToken | null, { tokenDigest }: Credentials): boolean {
  if (facts.upgrade) return true
  if (facts.method === 'OPTIONS') return false
  return found?.from !== 'header' || tokenDigest === null
}

// VS Code looks at pages that a Jupyter server would have; an answer that asks for a token would make it ask for a
// password.
function isNowhere({ route, url, upgrade }: RequestFacts): boolean {
  return route === null && !upgrade && !/^\/api(?:[/?]|$)/.test(url)
}

function owner(from: Principal['from']): Principal {
  return { subject: LOCAL_SUBJECT, scopes: new Set(['admin']), tokenId: null, expiresAt: null, from }
}

function wrong(fault: Fault | 'unknown'): Rejected {
  const message =
    fault === 'expired' || fault === 'revoked'
      ? `The token ${fault === 'expired' ? 'has expired' : 'was revoked'}. Get a new one.`
      : 'The token is not valid here.'
  return { refusal: refuse(401, 'unauthorized', message), fault }
}
