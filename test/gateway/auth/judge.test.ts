import { BlockList } from 'node:net'
import { judge, type Admitted, type Rejected } from '../../../src/gateway/auth/judge.js'
import type { RequestFacts } from '../../../src/gateway/auth/facts.js'
import { LOCAL_SUBJECT } from '../../../src/gateway/auth/principal.js'
import { takePathToken } from '../../../src/gateway/auth/token-place.js'
import {
  AUDIENCE,
  bearer,
  CREDENTIALS,
  ISSUER,
  NOW,
  NOW_S,
  OWN_TOKEN,
  request,
  RULES,
  sign,
  upgrade,
} from './support.js'

const ask = (facts: RequestFacts, rules = RULES, credentials = CREDENTIALS): Admitted | Rejected =>
  judge(facts, rules, credentials, NOW)
const status = (...args: Parameters<typeof ask>): number => {
  const verdict = ask(...args)
  return 'refusal' in verdict ? verdict.refusal.status : 200
}
const from = (facts: RequestFacts): string | null => {
  const verdict = ask(facts)
  return 'principal' in verdict ? verdict.principal.from : null
}
const header = (authorization: string) => request({ headers: { authorization } })

describe('the gateway’s own token is found', () => {
  test('in the header, with either scheme in any case', () => {
    for (const scheme of ['token', 'Token', 'BEARER', 'bearer'])
      expect(from(header(`${scheme} ${OWN_TOKEN}`))).toBe('header')
  })

  test('in the query, wherever it stands there', () => {
    expect(from(request({ url: `/api/kernels?token=${OWN_TOKEN}` }))).toBe('query')
    expect(from(request({ url: `/api/kernels?1699=&token=&token=${OWN_TOKEN}` }))).toBe('query')
  })

  test('in the path, which then is as without it', () => {
    const { url, token } = takePathToken(`/t/${OWN_TOKEN}/api/kernels?1699`)
    expect(url).toBe('/api/kernels?1699')
    expect(from(request({ url, pathToken: token }))).toBe('path')
    expect(takePathToken('/t/a%2Fb')).toEqual({ url: '/', token: 'a/b' })
    expect(takePathToken('/t//api')).toEqual({ url: '/t//api', token: null })
    expect(takePathToken('/api/t/x')).toEqual({ url: '/api/t/x', token: null })
  })

  test('in the subprotocols of an upgrade, short or as Jupyter proposes, and only there', () => {
    const kernel = 'v1.kernel.websocket.jupyter.org'
    for (const carrier of [
      `v1.token.${OWN_TOKEN}`,
      `v1.token.websocket.jupyter.org, v1.token.websocket.jupyter.org.${OWN_TOKEN}`,
    ]) {
      const headers = { 'sec-websocket-protocol': `${kernel}, ${carrier}` }
      expect(from(upgrade({ headers }))).toBe('subprotocol')
      expect(status(request({ headers }))).toBe(401)
    }
  })

  test('nowhere else, and an empty one is none', () => {
    const none = ['token ', 'Bearer', `Basic ${OWN_TOKEN}`, OWN_TOKEN, `token${OWN_TOKEN}`, '']
    for (const written of none)
      expect(ask(header(written))).toMatchObject({ refusal: { code: 'unauthorized' }, fault: null })
    expect(status(request({ headers: { cookie: `token=${OWN_TOKEN}` } }))).toBe(401)
  })

  test('past a proxy’s own credentials', () => {
    const headers = { authorization: 'Basic dXNlcjpwYXNz' }
    expect(from(request({ headers, url: `/api/kernels?token=${OWN_TOKEN}` }))).toBe('query')
  })

  test('and the first place counts: a wrong token in the header is not made good by the query', () => {
    expect(status(request({ headers: bearer('wrong'), url: `/api/kernels?token=${OWN_TOKEN}` }))).toBe(401)
  })
})

describe('signed tokens', () => {
  test('are let in with what they say', () => {
    for (const kid of ['rsa-1', 'ec-1', 'shared-1'] as const) {
      expect(ask(request({ headers: bearer(sign({}, kid)) }))).toMatchObject({
        principal: { subject: 'alice', tokenId: 'token-1', expiresAt: (NOW_S + 3600) * 1000, from: 'header' },
      })
    }
  })

  test('may name their scopes as words, and scopes of other services mean nothing', () => {
    const verdict = ask(request({ headers: bearer(sign({ scopes: undefined, scope: 'openid kernels:read root' })) }))
    expect(verdict).toMatchObject({ principal: { scopes: new Set(['kernels:read']) } })
  })

  test('have a few seconds of grace at both ends, and no more', () => {
    const statusOf = (claims: object) => status(request({ headers: bearer(sign(claims)) }))
    expect(statusOf({ exp: NOW_S - 3 })).toBe(200)
    expect(statusOf({ exp: NOW_S - 5 })).toBe(401)
    expect(statusOf({ nbf: NOW_S + 4 })).toBe(200)
    expect(statusOf({ nbf: NOW_S + 6 })).toBe(401)
  })

  test('that ended say so only if they were ours', () => {
    const expired = sign({ exp: NOW_S - 60 })
    const message = (token: string) => {
      const verdict = ask(request({ headers: bearer(token) }))
      return 'refusal' in verdict ? verdict.refusal.message : ''
    }
    expect(message(expired)).toContain('expired')
    expect(message(sign({ jti: 'revoked-1' }))).toContain('revoked')
    expect(message(`${expired.slice(0, -4)}AAAA`)).not.toContain('expired')
  })

  test('need the issuer and the audience that were set', () => {
    expect(status(request({ headers: bearer(sign({ aud: ['other', AUDIENCE] })) }))).toBe(200)
    expect(status(request({ headers: bearer(sign({ aud: ['other'] })) }))).toBe(401)
    expect(status(request({ headers: bearer(sign({ iss: `${ISSUER}/` })) }))).toBe(401)
  })
})

describe('before any token is looked at', () => {
  const right = bearer(OWN_TOKEN)
  const evil = { origin: 'https://evil.example' }

  test('a foreign page is refused for every WebSocket', () => {
    expect(status(upgrade({ headers: { ...right, ...evil } }))).toBe(403)
    expect(status(upgrade({ headers: { ...right, 'sec-websocket-origin': 'https://evil.example' } }))).toBe(403)
    expect(status(upgrade({ headers: { ...right, origin: 'https://lab.example' } }))).toBe(200)
    expect(status(upgrade({ headers: { ...right, origin: 'http://127.0.0.1:8890' } }))).toBe(200)
    expect(status(upgrade({ headers: right }))).toBe(200)
  })

  test('and for every request whose token is not in a header', () => {
    const url = `/api/kernels?token=${OWN_TOKEN}`
    expect(status(request({ url, headers: evil }))).toBe(403)
    expect(status(request({ pathToken: OWN_TOKEN, headers: evil }))).toBe(403)
    expect(status(request({ headers: evil }))).toBe(403)
    expect(status(request({ url }))).toBe(200)
    expect(status(request({ headers: { ...right, ...evil } }))).toBe(200)
  })

  test.each([
    'https://lab.example.evil.example',
    'https://lab.example:444',
    'http://lab.example',
    'https://xlab.example',
    'https://lab.example/',
    'https://lab.example@evil.example',
    'null',
    'file://',
    '',
    'http://127.0.0.1:8891',
    'http://127.0.0.1',
    'http://localhost:8890',
    'http://127.0.0.1:8890.evil.example',
  ])('%j is foreign', (origin) => {
    expect(status(upgrade({ headers: { ...right, origin } }))).toBe(403)
  })

  test('what a browser says of the site counts for nothing beside its origin', () => {
    const said = {
      ...evil,
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'no-cors',
      referer: 'http://127.0.0.1:8890/',
    }
    expect(status(upgrade({ headers: { ...right, ...said } }))).toBe(403)
    expect(status(request({ pathToken: OWN_TOKEN, headers: said }))).toBe(403)
  })

  test('our own is what we were called by, over https as over http', () => {
    const host = 'gateway.example'
    const open = { ...RULES, loopback: false }
    expect(status(upgrade({ headers: { ...right, host, origin: 'https://gateway.example' } }), open)).toBe(200)
    expect(status(upgrade({ headers: { ...right, host, origin: 'http://gateway.example' } }), open)).toBe(200)
    expect(
      status(upgrade({ encrypted: true, headers: { ...right, host, origin: 'http://gateway.example' } }), open),
    ).toBe(403)
    expect(status(upgrade({ headers: { ...right, host: 'a@b', origin: 'http://b' } }), open)).toBe(403)
  })

  test('on loopback only names of loopback will do, for open routes as well', () => {
    for (const host of ['127.0.0.1', 'localhost:8890', '[::1]:8890', 'LOCALHOST'])
      expect(status(request({ headers: { ...right, host } }))).toBe(200)
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '127.0.0.2',
      '[::2]',
      '',
      'localhost:x',
      'evil.example#localhost',
    ]) {
      expect(status(request({ headers: { ...right, host } }))).toBe(403)
      expect(status(request({ route: '/api', headers: { host } }))).toBe(403)
      expect(status(upgrade({ headers: { ...right, host } }))).toBe(403)
    }
    const named = { ...RULES, hosts: ['gateway.example'] }
    expect(status(request({ headers: { ...right, host: 'Gateway.example' } }), named)).toBe(200)
    expect(status(request({ headers: { ...right, host: 'evil.example' } }), { ...named, loopback: false })).toBe(403)
    expect(status(request({ headers: { ...right, host: 'evil.example' } }), { ...RULES, loopback: false })).toBe(200)
  })
})

describe('without a token', () => {
  test('only what is open answers', () => {
    for (const route of ['/api', '/healthz', '/readyz']) expect(status(request({ route }))).toBe(200)
    expect(status(request({ method: 'HEAD', route: '/api' }))).toBe(200)
    expect(status(request({ method: 'POST', route: '/api' }))).toBe(401)
    expect(status(request({ method: 'OPTIONS', route: null, headers: { origin: 'https://evil.example' } }))).toBe(200)
    for (const route of ['/api/kernels', '/metrics', '/api/status', '/kernelspecs/:name/*'])
      expect(status(request({ route }))).toBe(401)
    expect(status(upgrade())).toBe(401)
    expect(status(upgrade({ method: 'OPTIONS' }))).toBe(401)
  })

  test('what does not exist outside of the API is not there, and inside it nobody learns that', () => {
    for (const url of ['/', '/tree?', '/lab']) expect(status(request({ route: null, url }))).toBe(404)
    for (const url of ['/api/nothing', '/api?x', '/api/']) expect(status(request({ route: null, url }))).toBe(401)
    expect(status(upgrade({ route: null, url: '/elsewhere' }))).toBe(401)
  })

  test('everything answers if the gateway wants none, to our own pages', () => {
    const open = { ...CREDENTIALS, tokenDigest: null }
    expect(ask(request(), RULES, open)).toMatchObject({ principal: { subject: LOCAL_SUBJECT, from: 'nowhere' } })
    expect(status(request({ headers: { ...bearer('any'), origin: 'https://evil.example' } }), RULES, open)).toBe(403)
    expect(status(upgrade({ headers: { origin: 'https://evil.example' } }), RULES, open)).toBe(403)
  })
})

describe('behind a proxy', () => {
  const proxies = new BlockList()
  proxies.addAddress('10.0.0.1')
  const rules = { ...RULES, loopback: false, proxies }
  const headers = {
    ...bearer(OWN_TOKEN),
    host: 'gw.example',
    origin: 'http://gw.example',
    'x-forwarded-proto': 'https',
  }

  test('that is trusted, its word on TLS counts', () => {
    expect(status(upgrade({ peer: '10.0.0.1', headers }), rules)).toBe(403)
    expect(status(upgrade({ peer: '10.0.0.2', headers }), rules)).toBe(200)
  })
})
