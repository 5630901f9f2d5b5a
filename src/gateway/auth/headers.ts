/** What answers tell browsers: whose pages may read them, and what they may not be used for. Pure. */

import type { IncomingHttpHeaders } from 'node:http'
import { isAllowedOrigin, type OriginRules } from './origin.js'

/** Headers that Jupyter's clients send, and those of ours. */
const REQUEST_HEADERS = 'Authorization, Content-Type, X-XSRFToken, X-Requested-With, Idempotency-Key, Last-Event-ID'
const RESPONSE_HEADERS = 'Location, Retry-After'
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
const PREFLIGHT_MAX_AGE_S = 600

/** On every answer. Answers are data: nothing of them is to be run, framed, kept or followed with our URL. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** For files of kernelspecs, which a page of an allowed origin shows as images. */
export const FILE_HEADERS: Readonly<Record<string, string>> = {
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Cache-Control': 'private, max-age=3600',
}

/**
 * CORS: the origin is repeated only if it is allowed as a whole, and `*` stays `*`. Credentials are never allowed: there
 * are no cookies, and a token is put into a header by whoever knows it.
 */
export function corsHeaders(headers: IncomingHttpHeaders, rules: OriginRules): Record<string, string> {
  if (rules.origins.length === 0) return {}
  if (rules.origins.includes('*')) return { 'Access-Control-Allow-Origin': '*', ...EXPOSED }
  const { origin } = headers
  const allowed = origin !== undefined && isAllowedOrigin(origin, rules)
  return { Vary: 'Origin', ...(allowed ? { 'Access-Control-Allow-Origin': origin, ...EXPOSED } : {}) }
}

const EXPOSED = { 'Access-Control-Expose-Headers': RESPONSE_HEADERS }

/** The rest of the answer (204) to OPTIONS. */
export function preflightHeaders(headers: IncomingHttpHeaders, rules: OriginRules): Record<string, string> {
  const cors = corsHeaders(headers, rules)
  if (cors['Access-Control-Allow-Origin'] === undefined) return { ...cors, Allow: METHODS }
  return {
    ...cors,
    'Access-Control-Allow-Methods': METHODS,
    'Access-Control-Allow-Headers': REQUEST_HEADERS,
    'Access-Control-Max-Age': String(PREFLIGHT_MAX_AGE_S),
    Allow: METHODS,
  }
}
