/** From what an operator set to the rules of the gate. */

import { SavepointError } from '../../errors.js'
import { isLoopback, trustedProxies } from './address.js'
import type { AuthRules } from './judge.js'
import { originOf } from './origin.js'

export interface AuthOptions {
  /** Address that the gateway listens on. */
  readonly ip: string
  /** The gateway's own token; empty: nobody needs one. */
  readonly token: string
  /** `--allow-origin`. */
  readonly origins: readonly string[]
  /** Names by which it is called, besides those of loopback. */
  readonly hosts: readonly string[]
  /** Addresses and networks of proxies. */
  readonly proxies: readonly string[]
  /** Path of a JWKS file, and what its tokens must have as `iss` and `aud`. */
  readonly jwks: string | null
  readonly issuer: string | null
  readonly audience: string | null
}

/** Throws USAGE for what cannot be, and for what would let anybody in. */
export function authRules(options: AuthOptions): AuthRules {
  const loopback = isLoopback(options.ip)
  const origins = options.origins.map(originOf)
  if (options.token === '' && !loopback)
    throw usage(`Without a token the gateway may only listen on loopback, not on ${options.ip}. Leave --token out.`)
  if (options.token === '' && origins.includes('*'))
    throw usage('Without a token every web page could run code here. Name the origins that may, or leave --token out.')
  if (options.jwks !== null && (options.issuer === null || options.audience === null))
    throw usage('auth.jwks needs auth.issuer and auth.audience: tokens for other services are signed by the same keys.')
  return {
    loopback,
    origins,
    hosts: options.hosts,
    proxies: trustedProxies(options.proxies),
    issuer: options.issuer,
    audience: options.audience,
  }
}

function usage(message: string): SavepointError {
  return new SavepointError('USAGE', message)
}
