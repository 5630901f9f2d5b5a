/** Where in a request a token may stand. Pure. */

import type { IncomingHttpHeaders } from 'node:http'
import type { RequestFacts } from './facts.js'
import type { Principal } from './principal.js'

export interface FoundToken {
  readonly token: string
  readonly from: Exclude<Principal['from'], 'nowhere'>
}

/**
 * Prefix of the WebSocket subprotocol that Jupyter's proposal for tokens in subprotocols names. Offered on its own it
 * carries nothing; a browser needs one subprotocol that the answer may repeat without repeating the token.
 */
export const TOKEN_SUBPROTOCOL = 'v1.token.websocket.jupyter.org'

const SHORT_PREFIX = 'v1.token.'
const LONG_PREFIX = `${TOKEN_SUBPROTOCOL}.`

/**
 * The token that counts: of the header, else of the subprotocols (upgrades alone), else of the path, else of the query.
 * An empty one counts as none, and so does a scheme that is not ours: a proxy's own credentials may stand there.
 */
export function findToken(facts: RequestFacts): FoundToken | null {
  const header = headerToken(facts.headers)
  if (header !== null) return { token: header, from: 'header' }
  const subprotocol = facts.upgrade ? subprotocolToken(facts.headers) : null
  if (subprotocol !== null) return { token: subprotocol, from: 'subprotocol' }
  if (facts.pathToken) return { token: facts.pathToken, from: 'path' }
  const query = queryToken(facts.url)
  return query === null ? null : { token: query, from: 'query' }
}

/**
 * Takes `/t/T` off the front of a path, so that routes need not know of it. A client that was given the URL
 * `http://host/t/T` joins its own paths to it and needs no header.
 */
export function takePathToken(url: string): { url: string; token: string | null } {
  const [, written, rest = ''] = /^\/t\/([^/?#]+)([/?#].*)?$/s.exec(url) ?? []
  if (written === undefined) return { url, token: null }
  return { url: rest.startsWith('/') ? rest : `/${rest}`, token: decoded(written) }
}

function headerToken(headers: IncomingHttpHeaders): string | null {
  const { authorization = '' } = headers
  // One pattern for all of it would try each run of blanks from each of its places: a second for a header of 16 KB.
  const [scheme] = /^\s*(?:token|bearer)\s/i.exec(authorization) ?? []
  const token = scheme === undefined ? '' : authorization.slice(scheme.length).trim()
  return token === '' ? null : token
}

function subprotocolToken(headers: IncomingHttpHeaders): string | null {
  for (const name of protocols(headers)) {
    if (name === TOKEN_SUBPROTOCOL || !name.startsWith(SHORT_PREFIX)) continue
    const written = name.slice(name.startsWith(LONG_PREFIX) ? LONG_PREFIX.length : SHORT_PREFIX.length)
    const token = decoded(written)
    if (token !== '') return token
  }
  return null
}

function queryToken(url: string): string | null {
  const at = url.indexOf('?')
  if (at < 0) return null
  const given = new URLSearchParams(url.slice(at + 1)).getAll('token')
  return given.find((token) => token !== '') ?? null
}

function protocols(headers: IncomingHttpHeaders): string[] {
  const listed = headers['sec-websocket-protocol'] ?? ''
  return listed
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

// What is no valid percent-encoding is the token as it stands; it will not be a right one.
function decoded(written: string): string {
  try {
    return decodeURIComponent(written)
  } catch {
    return written
  }
}
