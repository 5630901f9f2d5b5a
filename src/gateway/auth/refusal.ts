/** Why somebody is not let in. Never says what a token was, nor what would have been right. */

import type { PublicCode } from '../../errors.js'

export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 429
  readonly code: PublicCode
  readonly message: string
  /** Whole seconds after which it is worth asking again; null: not by waiting. */
  readonly retryAfterS: number | null
}

export function refuse(
  status: Refusal['status'],
  code: PublicCode,
  message: string,
  retryAfterS: number | null = null,
): Refusal {
  return { status, code, message, retryAfterS }
}

export function isRefusal(value: object | null): value is Refusal {
  return value !== null && 'status' in value
}

/** What goes with the answer: RFC 9110 section 11.6.1 wants the first, RFC 6585 section 4 the second. */
export function refusalHeaders(refusal: Refusal): Record<string, string> {
  return {
    ...(refusal.status === 401 ? { 'WWW-Authenticate': 'Bearer realm="savepoint"' } : {}),
    ...(refusal.retryAfterS === null ? {} : { 'Retry-After': String(refusal.retryAfterS) }),
  }
}
