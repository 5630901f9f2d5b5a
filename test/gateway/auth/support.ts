/** Keys, tokens and requests for the tests of the gate. */

import { createPublicKey, generateKeyPairSync, randomBytes, type JsonWebKey, type KeyObject } from 'node:crypto'
import { BlockList } from 'node:net'
import jsonwebtoken from 'jsonwebtoken'
import type { RequestFacts } from '../../../src/gateway/auth/facts.js'
import type { AuthRules, Credentials } from '../../../src/gateway/auth/judge.js'
import { digestOf } from '../../../src/gateway/auth/judge.js'
import { parseKeySet, type VerificationKey } from '../../../src/gateway/auth/keys.js'

export const NOW = new Date(Date.UTC(2030, 0, 1))
export const NOW_S = NOW.getTime() / 1000

export const OWN_TOKEN = 'b1946ac92492d2347c6235b4d2611184b1946ac92492d234'
export const ISSUER = 'https://login.example'
export const AUDIENCE = 'savepoint-team'

export const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const secret = randomBytes(32)

export function jwk(key: KeyObject, more: object = {}): JsonWebKey {
  return { ...createPublicKey(key).export({ format: 'jwk' }), use: 'sig', ...more }
}

export const KEY_SET = {
  keys: [
    jwk(rsa.privateKey, { kid: 'rsa-1', alg: 'RS256' }),
    jwk(ec.privateKey, { kid: 'ec-1', alg: 'ES256' }),
    { kty: 'oct', kid: 'shared-1', alg: 'HS256', k: secret.toString('base64url') },
  ],
}
export const KEYS: readonly VerificationKey[] = parseKeySet(JSON.stringify(KEY_SET)).keys

export const RULES: AuthRules = {
  loopback: true,
  origins: ['https://lab.example'],
  hosts: [],
  proxies: new BlockList(),
  issuer: ISSUER,
  audience: AUDIENCE,
}

export const CREDENTIALS: Credentials = {
  tokenDigest: digestOf(OWN_TOKEN),
  keys: () => KEYS,
  revoked: (id) => id === 'revoked-1',
}

export const CLAIMS = {
  sub: 'alice',
  iss: ISSUER,
  aud: AUDIENCE,
  exp: NOW_S + 3600,
  jti: 'token-1',
  scopes: ['kernels:read', 'kernels:write', 'kernels:execute'],
}

/** A token of these claims (undefined: left out), by the key of this kid. */
export function sign(
  claims: object = {},
  kid: 'rsa-1' | 'ec-1' | 'shared-1' = 'shared-1',
  header: object = {},
): string {
  const [key, alg] =
    kid === 'rsa-1'
      ? ([rsa.privateKey, 'RS256'] as const)
      : kid === 'ec-1'
        ? ([ec.privateKey, 'ES256'] as const)
        : ([secret, 'HS256'] as const)
  const all = JSON.parse(JSON.stringify({ ...CLAIMS, iat: NOW_S, ...claims })) as object
  return jsonwebtoken.sign(all, key, { header: { alg, typ: 'JWT', kid, ...header } })
}

export const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` })

export function request(facts: Partial<RequestFacts> = {}): RequestFacts {
  const route = facts.route === undefined ? '/api/kernels' : facts.route
  return {
    method: 'GET',
    route,
    url: route ?? '/nowhere',
    pathToken: null,
    peer: '127.0.0.1',
    encrypted: false,
    upgrade: false,
    ...facts,
    headers: { host: '127.0.0.1:8890', ...facts.headers },
  }
}

export function upgrade(facts: Partial<RequestFacts> = {}): RequestFacts {
  const route = '/api/kernels/:id/channels'
  return request({ route, url: '/api/kernels/k1/channels', upgrade: true, ...facts })
}
