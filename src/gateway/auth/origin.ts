/** Which pages a browser may send requests from, and by which names we may be called. Pure. */

import type { IncomingHttpHeaders } from 'node:http'
import { SavepointError } from '../../errors.js'
import { refuse, type Refusal } from './refusal.js'

export interface OriginRules {
  /** Whole origins besides our own (`https://lab.example:8888`), or `*`. */
  readonly origins: readonly string[]
  /** The gateway listens on a loopback address. */
  readonly loopback: boolean
  /** Names besides those of loopback by which it may be called; if there are any, no others may. */
  readonly hosts: readonly string[]
}

const LOOPBACK_NAMES: readonly string[] = ['127.0.0.1', 'localhost', '[::1]']
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/

/** As a browser would write it, so that two can be compared as wholes. Throws USAGE. */
export function originOf(written: string): string {
  if (written === '*') return written
  const url = URL.parse(written)
  const whole = url !== null && `${url.pathname}${url.search}${url.hash}${url.username}` === '/' && HOST.test(url.host)
  if (whole && (url.protocol === 'http:' || url.protocol === 'https:')) return url.origin
  throw new SavepointError(
    'USAGE',
    `${JSON.stringify(written)} is no origin. Write it as https://host or http://host:port.`,
  )
}

/**
 * A page whose name its owner points at this machine sends its own name as Host: on loopback only names of loopback
 * will do.
 */
export function checkHost(headers: IncomingHttpHeaders, rules: OriginRules): Refusal | null {
  if (!rules.loopback && rules.hosts.length === 0) return null
  const host = (headers.host ?? '').toLowerCase()
  const name = HOST.test(host) ? host.replace(/:\d+$/, '') : ''
  if (LOOPBACK_NAMES.includes(name) || rules.hosts.some((each) => each.toLowerCase() === name)) return null
  return refuse(
    403,
    'forbidden',
    'The gateway is not known by this Host. Call it by 127.0.0.1, localhost or a name that it was given.',
  )
}

/** null: our own, an allowed one, or none at all. `null`, which sandboxed pages send, is foreign. */
export function checkOrigin(headers: IncomingHttpHeaders, secure: boolean, rules: OriginRules): Refusal | null {
  const origin = sentOrigin(headers)
  if (origin === null || isAllowedOrigin(origin, rules) || isOwn(origin, headers.host ?? '', secure)) return null
  return refuse(
    403,
    'forbidden',
    'Pages of this origin may not use the gateway. Its owner can allow it: --allow-origin',
  )
}

/** Compared as wholes: an origin that begins with an allowed one is another. */
export function isAllowedOrigin(origin: string, { origins }: OriginRules): boolean {
  return origins.includes('*') || origins.includes(origin.toLowerCase())
}

function sentOrigin(headers: IncomingHttpHeaders): string | null {
  const old = headers['sec-websocket-origin']
  return headers.origin ?? (typeof old === 'string' ? old : null)
}

// Our own is what the client called us by. A page over http is no part of a gateway over https; the other way round a
// proxy of which we do not know ends the TLS.
function isOwn(origin: string, host: string, secure: boolean): boolean {
  const page = parsedOrigin(origin)
  if (page === null || !HOST.test(host.toLowerCase())) return false
  if (secure && page.protocol !== 'https:') return false
  try {
    return new URL(`${page.protocol}//${host}`).host === page.host
  } catch {
    return false
  }
}

function parsedOrigin(origin: string): URL | null {
  try {
    const url = new URL(origin)
    return (url.protocol === 'http:' || url.protocol === 'https:') && url.origin === origin.toLowerCase() ? url : null
  } catch {
    return null
  }
}
