/** Ten thousand tokens that are wrong in some way, and rights that are not given: nobody is let in. */

import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'
import { LOCAL_ISSUER } from '../../../src/gateway/auth/jwt.js'
import { judge } from '../../../src/gateway/auth/judge.js'
import { ALL_SCOPES, owns } from '../../../src/gateway/auth/principal.js'
import { allowed, needOf } from '../../../src/gateway/auth/routes.js'
import { Random } from '../../fakes/random.js'
import {
  CLAIMS,
  CREDENTIALS,
  ISSUER,
  KEY_SET,
  NOW,
  NOW_S,
  OWN_TOKEN,
  request,
  rsa,
  RULES,
  secret,
  sign,
  upgrade,
} from './support.js'

const TOTAL = 10_000
const random = new Random(20_300_101)
const below = (end: number): number => Math.floor(random.next() * end)
const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T

const b64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const admin = { ...CLAIMS, scopes: ['admin'] }
const raw = (header: object, claims: object, signature: string): string => `${b64(header)}.${b64(claims)}.${signature}`
const hmac = (key: string | Buffer, signed: string): string =>
  createHmac('sha256', key).update(signed).digest('base64url')
const hs = (key: string | Buffer, header: object, claims: object = admin): string => {
  const signed = `${b64({ alg: 'HS256', typ: 'JWT', ...header })}.${b64(claims)}`
  return `${signed}.${hmac(key, signed)}`
}

const mine = generateKeyPairSync('rsa', { modulusLength: 2048 })
const rsaPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string
const good = (['rsa-1', 'ec-1', 'shared-1'] as const).map((kid) => sign({}, kid))
const byMe = jsonwebtoken.sign(admin, mine.privateKey, { algorithm: 'RS256', keyid: 'rsa-1' })
const parts = (token: string): [string, string, string] => token.split('.') as [string, string, string]
const kids = ['rsa-1', 'ec-1', 'shared-1'] as const

/** Each makes a token that must be worth nothing. */
const FORGERIES: Readonly<Record<string, () => string>> = {
  'random text': () => randomBytes(1 + below(60)).toString(pick(['hex', 'base64', 'base64url'])),
  'part of the own token': () => OWN_TOKEN.slice(0, 1 + below(OWN_TOKEN.length - 1)),
  'more than the own token': () => OWN_TOKEN + pick(['a', '.', '%00', '\u00e9', OWN_TOKEN]),
  'the own token in capitals': () => OWN_TOKEN.toUpperCase(),
  'no algorithm': () =>
    raw(
      { alg: pick(['none', 'None', 'NONE', 'nOnE', '', null, 0]), typ: 'JWT', kid: pick(kids) },
      admin,
      pick(['', 'AA']),
    ),
  'no algorithm, a good signature': () => {
    const [, claims, signature] = parts(pick(good))
    return `${b64({ alg: 'none', kid: pick(kids) })}.${claims}.${pick(['', signature])}`
  },
  'no signature': () => pick(good).replace(/[^.]*$/, ''),
  'a public key as secret': () => {
    const jwk = KEY_SET.keys[0] as { n: string }
    const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
    return hs(pick([rsaPem, rsaPem.trim(), der, jwk.n, JSON.stringify(jwk)]), { kid: pick(kids) })
  },
  'an algorithm that the key is not for': () => {
    const [, claims, signature] = parts(pick(good))
    return `${b64({ alg: pick(['HS512', 'HS384', 'RS384', 'RS512', 'PS256', 'ES384', 'ES512', 'EdDSA', 'hs256']), kid: pick(kids) })}.${claims}.${signature}`
  },
  'a longer digest with the right secret': () =>
    jsonwebtoken.sign(admin, secret, { algorithm: pick(['HS384', 'HS512']), keyid: 'shared-1' }),
  'a kid that is a place': () =>
    hs(pick(['', '\0', secret]), {
      kid: pick([
        '../../../../dev/null',
        '/dev/null',
        'file:///dev/null',
        "x' UNION SELECT 'k",
        '__proto__',
        'constructor',
        'shared-1\0',
        ' shared-1',
        'SHARED-1',
        '',
        0,
        null,
        true,
        ['shared-1'],
        { kid: 'shared-1' },
      ]),
    }),
  'another kid': () => hs(secret, { kid: pick(['rsa-1', 'ec-1', 'nobody', 'local-00000000']) }),
  'a key of its own': () => {
    const jwk = mine.publicKey.export({ format: 'jwk' })
    const brought = pick([
      { jwk: { ...jwk, kid: 'rsa-1' } },
      { jku: 'https://evil.example/jwks.json' },
      { x5u: 'https://evil.example/cert.pem' },
      { x5c: [rsaPem] },
    ])
    return `${b64({ alg: 'RS256', kid: 'rsa-1', ...brought })}.${parts(byMe)[1]}.${parts(byMe)[2]}`
  },
  'the right key, and one of its own': () =>
    hs(secret, {
      kid: 'shared-1',
      ...pick([{ jku: 'https://login.example/keys' }, { jwk: {} }, { x5c: [] }, { x5u: null }]),
    }),
  'what it says must be understood': () =>
    hs(secret, {
      kid: 'shared-1',
      ...pick([{ crit: ['b64'], b64: false }, { crit: ['exp'] }, { b64: true }, { crit: [] }, { zip: 'DEF' }]),
    }),
  'a type that is no token': () => hs(secret, { kid: 'shared-1', typ: pick(['JWE', 'jwt2', 'logout+jwt', 7, {}]) }),
  'somebody else’s key with our kid': () => byMe,
  'somebody else’s secret with our kid': () => hs(randomBytes(32), { kid: 'shared-1' }),
  expired: () => hs(secret, { kid: 'shared-1' }, { ...admin, exp: NOW_S - 5 - below(1e9) }),
  'not yet': () => hs(secret, { kid: 'shared-1' }, { ...admin, nbf: NOW_S + 6 + below(1e9) }),
  'no end, or one that is none': () =>
    hs(
      secret,
      { kid: 'shared-1' },
      { ...admin, exp: pick([undefined, null, '9999999999', -1, {}, [NOW_S + 60], true]) },
    ),
  'a beginning that is none': () => hs(secret, { kid: 'shared-1' }, { ...admin, nbf: pick(['0', null, {}, true]) }),
  'another issuer': () =>
    hs(
      secret,
      { kid: 'shared-1' },
      {
        ...admin,
        iss: pick([
          undefined,
          '',
          null,
          'https://evil.example',
          `${ISSUER}.evil.example`,
          ISSUER.toUpperCase(),
          [],
          LOCAL_ISSUER,
          [ISSUER, 'x'],
        ]),
      },
    ),
  'another audience': () =>
    hs(
      secret,
      { kid: 'shared-1' },
      {
        ...admin,
        aud: pick([
          undefined,
          '',
          null,
          'other',
          [],
          ['other'],
          'savepoint-team2',
          '*',
          LOCAL_ISSUER,
          { 0: 'savepoint-team' },
        ]),
      },
    ),
  'no subject': () =>
    hs(
      secret,
      { kid: 'shared-1' },
      { ...admin, sub: pick([undefined, '', null, 7, {}, ['alice'], 'a\nb', 'a\0', 'x'.repeat(300), 'local']) },
    ),
  'an id that is none': () => hs(secret, { kid: 'shared-1' }, { ...admin, jti: pick([7, '', null, {}, ['token-1']]) }),
  revoked: () => hs(secret, { kid: 'shared-1' }, { ...admin, jti: 'revoked-1' }),
  'other claims under a good signature': () => {
    const [header, , signature] = parts(pick(good))
    return `${header}.${b64({ ...admin, sub: pick(['bob', 'local', 'alice']) })}.${signature}`
  },
  'another header over good claims': () => {
    const [, claims, signature] = parts(pick(good))
    return `${b64({ alg: pick(['HS256', 'RS256', 'ES256']), kid: pick(kids), n: below(1e9) })}.${claims}.${signature}`
  },
  'one bit of the signature': () => {
    const [header, claims, signature] = parts(pick(good))
    const bytes = Buffer.from(signature, 'base64url')
    const at = below(bytes.length)
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << below(8)), at)
    return `${header}.${claims}.${bytes.toString('base64url')}`
  },
  'part of the signature': () => {
    const [header, claims, signature] = parts(pick(good))
    return `${header}.${claims}.${signature.slice(0, below(signature.length - 4))}`
  },
  'the signature of another token': () =>
    `${pick(good).replace(/[^.]*$/, '')}${parts(sign({ sub: 'bob', n: below(1e9) }))[2]}`,
  'parts that are missing or too many': () =>
    pick([
      `${pick(good)}.x`,
      `.${pick(good)}`,
      parts(pick(good)).slice(0, 2).join('.'),
      '..',
      '...',
      'a.b.c',
      `${b64('null')}.${b64('null')}.x`,
      `${b64('[]')}.${b64('{}')}.x`,
    ]),
  'claims that are no object': () => {
    const signed = `${b64({ alg: 'HS256', kid: 'shared-1' })}.${b64(pick(['"alice"', '[]', 'null', '7', '', '{', '\u0000']))}`
    return `${signed}.${hmac(secret, signed)}`
  },
  'very long': () => sign({ pad: 'x'.repeat(9_000) }),
}

const wrong = Object.keys(FORGERIES)
const places = [
  (token: string) => request({ headers: { authorization: `${pick(['Bearer', 'token'])} ${token}` } }),
  (token: string) => request({ url: `/api/kernels?token=${encodeURIComponent(token)}` }),
  (token: string) => request({ pathToken: token }),
  (token: string) => upgrade({ headers: { authorization: `Bearer ${token}` } }),
  (token: string) => upgrade({ url: `/api/kernels/k1/channels?session_id=s&token=${encodeURIComponent(token)}` }),
  (token: string) =>
    upgrade({
      headers: { 'sec-websocket-protocol': `v1.kernel.websocket.jupyter.org, v1.token.${encodeURIComponent(token)}` },
    }),
]

describe('forged tokens', () => {
  test(`of ${TOTAL}, none is let in, whatever is wrong with it and wherever it stands`, () => {
    const in_: string[] = []
    const seen = new Map<string, number>()
    for (let n = 0; n < TOTAL; n++) {
      const kind = wrong[n % wrong.length] ?? ''
      const facts = pick(places)(FORGERIES[kind]?.() ?? '')
      const verdict = judge(facts, RULES, CREDENTIALS, NOW)
      seen.set(kind, (seen.get(kind) ?? 0) + 1)
      if (!('refusal' in verdict) || verdict.refusal.status !== 401) in_.push(`${kind}: ${JSON.stringify(facts)}`)
    }
    expect(in_).toEqual([])
    expect(seen.size).toBe(wrong.length)
  })

  test('would be let in if nothing were wrong with them', () => {
    for (const token of [OWN_TOKEN, ...good, hs(secret, { kid: 'shared-1' })])
      for (const place of places) expect(judge(place(token), RULES, CREDENTIALS, NOW)).toHaveProperty('principal')
  })

  test('never show in what is answered', () => {
    for (const kind of wrong) {
      const token = FORGERIES[kind]?.() ?? ''
      const verdict = judge(request({ headers: { authorization: `Bearer ${token}` } }), RULES, CREDENTIALS, NOW)
      if (token.length > 12) expect(JSON.stringify(verdict)).not.toContain(token)
      expect(JSON.stringify(verdict)).not.toContain(OWN_TOKEN)
    }
  })
})

describe('rights that a token does not give', () => {
  const routes = [
    ['GET', '/api/kernels'],
    ['POST', '/api/kernels'],
    ['DELETE', '/api/kernels/:id'],
    ['POST', '/api/kernels/:id/restart'],
    ['WS', '/api/kernels/:id/channels'],
    ['PUT', '/api/kernels/:id/connection'],
    ['POST', '/api/kernels/:id/executions'],
    ['POST', '/api/execute'],
    ['GET', '/api/sessions'],
    ['POST', '/api/sessions'],
    ['GET', '/api/kernelspecs'],
    ['GET', '/api/savepoint/pool'],
  ] as const

  test('are not given, for every route and every set of scopes', () => {
    for (let set = 0; set < 1 << ALL_SCOPES.length; set++) {
      const scopes = ALL_SCOPES.filter((_, bit) => set & (1 << bit))
      const principal = {
        subject: 'alice',
        scopes: new Set(scopes),
        tokenId: null,
        expiresAt: null,
        from: 'header' as const,
      }
      for (const [verb, route] of routes) {
        const call = { method: verb === 'WS' ? 'GET' : verb, route, upgrade: verb === 'WS' }
        const need = needOf(call)
        const enough = Array.isArray(need) && need.every((scope) => scopes.includes(scope))
        expect(allowed(principal, call) === null).toBe(enough)
      }
    }
  })

  test('do not reach what belongs to another subject', () => {
    const tenant = (sub: string) => {
      const verdict = judge(
        request({ headers: { authorization: `Bearer ${sign({ sub, scopes: ALL_SCOPES })}` } }),
        RULES,
        CREDENTIALS,
        NOW,
      )
      if ('refusal' in verdict) throw new Error(verdict.refusal.message)
      return verdict.principal
    }
    const subjects = ['alice', 'Alice', 'alice ', 'bob', 'admin', 'constructor', 'a', '*']
    for (const one of subjects) for (const other of subjects) expect(owns(tenant(one), other)).toBe(one === other)
  })
})
