import { BlockList } from 'node:net'
import { countedAs, isLoopback, originationOf, trustedProxies } from '../../../src/gateway/auth/address.js'
import { corsHeaders, preflightHeaders, SECURITY_HEADERS } from '../../../src/gateway/auth/headers.js'
import { lineLog } from '../../../src/log.js'
import { redactingLog, redactText, redactUrl } from '../../../src/gateway/auth/redact.js'
import { allowed, isOpen, needOf } from '../../../src/gateway/auth/routes.js'
import { authRules, type AuthOptions } from '../../../src/gateway/auth/rules.js'
import { OWN_TOKEN, sign } from './support.js'

const OPTIONS: AuthOptions = {
  ip: '127.0.0.1',
  token: OWN_TOKEN,
  origins: [],
  hosts: [],
  proxies: [],
  jwks: null,
  issuer: null,
  audience: null,
}
const usage = expect.objectContaining({ code: 'USAGE' })

describe('what would let anybody in is refused at the start', () => {
  test.each<Partial<AuthOptions>>([
    { token: '', ip: '0.0.0.0' },
    { token: '', ip: '::' },
    { token: '', ip: '192.168.0.7' },
    { token: '', origins: ['*'] },
    { jwks: '/keys.json' },
    { jwks: '/keys.json', issuer: 'x' },
    { origins: ['lab.example'] },
    { origins: ['https://lab.example/path'] },
    { origins: ['https://*.example'] },
    { proxies: ['10.0.0.0/40'] },
    { proxies: ['proxy.example'] },
  ])('%j', (options) => {
    expect(() => authRules({ ...OPTIONS, ...options })).toThrow(usage)
  })

  test('and what is safe is not', () => {
    for (const ip of ['127.0.0.1', '127.8.8.8', '::1', 'localhost'])
      expect(authRules({ ...OPTIONS, ip, token: '' }).loopback).toBe(true)
    expect(authRules({ ...OPTIONS, origins: ['HTTPS://Lab.example:443/'] }).origins).toEqual(['https://lab.example'])
    expect(isLoopback('0.0.0.0')).toBe(false)
  })
})

describe('addresses', () => {
  const trusted = trustedProxies(['10.0.0.0/8', '::1'])
  const addressOf = (peer: string, forwarded?: string) =>
    originationOf(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }, peer, false, trusted).address

  test('are what the nearest proxy says, if that is trusted, and never what the client says', () => {
    expect(addressOf('192.0.2.1', '198.51.100.1')).toBe('192.0.2.1')
    expect(addressOf('10.1.1.1', '198.51.100.1')).toBe('198.51.100.1')
    expect(addressOf('::ffff:10.1.1.1', '6.6.6.6, 198.51.100.1, 10.2.2.2')).toBe('198.51.100.1')
    expect(addressOf('::1', 'junk, <script>')).toBe('::1')
    expect(addressOf('10.1.1.1')).toBe('10.1.1.1')
    expect(addressOf('10.1.1.1', '[2001:db8::1]:443')).toBe('2001:db8::1')
    expect(originationOf({}, '', true, new BlockList())).toEqual({ address: '', secure: true })
  })

  test('of IPv6 are counted by network', () => {
    expect(countedAs('2001:db8::1')).toBe('2001:db8:0:0::/64')
    expect(countedAs('2001:0DB8:0:0:1:2:3:4')).toBe('2001:db8:0:0::/64')
    expect(countedAs('::1')).toBe('0:0:0:0::/64')
    expect(countedAs('192.0.2.1')).toBe('192.0.2.1')
  })
})

describe('routes', () => {
  const principal = {
    subject: 'a',
    scopes: new Set(['admin'] as const),
    tokenId: null,
    expiresAt: null,
    from: 'header' as const,
  }

  test('that are not in the table are refused, to the owner as well', () => {
    for (const route of ['/api/new', '/api/kernels/:id/new', '/constructor', '/api/kernels/:id/channels/:x']) {
      expect(allowed(principal, { method: 'GET', route, upgrade: false })).toMatchObject({ status: 403 })
      expect(allowed(principal, { method: 'GET', route, upgrade: true })).toMatchObject({ status: 403 })
    }
    expect(allowed(principal, { method: 'GET', route: '/api', upgrade: true })).toMatchObject({ status: 403 })
    expect(allowed(principal, { method: 'TRACE', route: '/api/kernels', upgrade: false })).toMatchObject({
      status: 403,
    })
    expect(allowed(principal, { method: 'GET', route: null, upgrade: false })).toMatchObject({ status: 404 })
  })

  test('are found whatever their parameters are called', () => {
    expect(
      needOf({ method: 'GET', route: '/api/kernels/:kernel_id(^[0-9]+$)/executions/:eid', upgrade: false }),
    ).toEqual(['kernels:read'])
    expect(needOf({ method: 'HEAD', route: '/kernelspecs/:name/*', upgrade: false })).toEqual(['kernelspecs:read'])
    expect(isOpen({ method: 'GET', route: '/readyz', upgrade: false })).toBe(true)
  })
})

describe('pages of other origins', () => {
  const rules = authRules({ ...OPTIONS, origins: ['https://lab.example'] })

  test('may read answers only if they are allowed, and never with credentials', () => {
    expect(corsHeaders({ origin: 'https://lab.example' }, rules)).toMatchObject({
      'Access-Control-Allow-Origin': 'https://lab.example',
      Vary: 'Origin',
    })
    for (const origin of ['https://lab.example.evil.example', 'https://evil.example', 'null'])
      expect(corsHeaders({ origin }, rules)).toEqual({ Vary: 'Origin' })
    const anybody = authRules({ ...OPTIONS, origins: ['*'] })
    for (const each of [rules, anybody]) {
      const headers = preflightHeaders({ origin: 'https://lab.example' }, each)
      expect(headers['Access-Control-Allow-Headers']).toContain('Authorization')
      expect(Object.keys(headers).join()).not.toContain('Credentials')
    }
    expect(corsHeaders({ origin: 'https://lab.example' }, anybody)['Access-Control-Allow-Origin']).toBe('*')
    expect(preflightHeaders({ origin: 'https://evil.example' }, rules)['Access-Control-Allow-Methods']).toBeUndefined()
    expect(corsHeaders({ origin: 'https://lab.example' }, authRules(OPTIONS))).toEqual({})
  })

  test('learn nothing from answers that they may not read', () => {
    expect(SECURITY_HEADERS).toMatchObject({
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
      'Cross-Origin-Resource-Policy': 'same-origin',
    })
  })
})

describe('tokens in the log', () => {
  const jwt = sign()

  test.each([
    `/api/kernels?token=${OWN_TOKEN}&x=1`,
    `/api/kernels?1699&TOKEN=${OWN_TOKEN}`,
    `/t/${OWN_TOKEN}/api/kernels`,
    `/base/t/${OWN_TOKEN}/api/kernels?token=${jwt}`,
    `http://host:8890/t/${OWN_TOKEN}`,
    `/api/kernels?access_token=${jwt}#x`,
  ])('are hidden in %s', (url) => {
    const shown = redactUrl(url)
    expect(shown).not.toContain(OWN_TOKEN)
    expect(shown).not.toContain(jwt)
    expect(shown).toContain('***')
  })

  test('are hidden in any text', () => {
    expect(redactText(`GET /api failed: Bearer ${jwt}, ${OWN_TOKEN}`, OWN_TOKEN)).toBe(
      'GET /api failed: Bearer ***, ***',
    )
    expect(redactText('nothing to hide', '')).toBe('nothing to hide')
    expect(redactUrl('/api/kernels/t-1?name=token')).toBe('/api/kernels/t-1?name=token')
  })

  test('are hidden in every field of every line', () => {
    const lines: unknown[] = []
    const log = redactingLog((...line) => lines.push(line), OWN_TOKEN)
    log('error', 'request_failed', { error: `Error: at /t/${OWN_TOKEN}/api?token=${jwt}`, status: 500, nothing: null })
    log('info', 'event')
    expect(lines).toEqual([
      ['error', 'request_failed', { error: 'Error: at /t/***/api?token=***', status: 500, nothing: null }],
      ['info', 'event', {}],
    ])
  })

  test('are hidden in what is written, and what is not written is let be', () => {
    const lines: string[] = []
    const log = redactingLog(
      lineLog('warn', (line) => lines.push(line)),
      OWN_TOKEN,
    )
    const fields = {
      get error(): string {
        lines.push('read')
        return OWN_TOKEN
      },
    }
    log('info', 'event', fields)
    expect(lines).toEqual([])
    log('warn', 'event', { error: OWN_TOKEN })
    expect(lines).toEqual([expect.stringMatching(/ warn event error=\*\*\*\n$/)])
  })
})
