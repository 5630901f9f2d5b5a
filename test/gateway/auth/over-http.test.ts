/** The gate over real HTTP and real WebSockets. */

import type { OutgoingHttpHeaders } from 'node:http'
import { createConnection } from 'node:net'
import WebSocket from 'ws'
import { lineLog } from '../../../src/log.js'
import { authLimits } from '../../../src/gateway/auth/limits.js'
import { redactingLog } from '../../../src/gateway/auth/redact.js'
import { ALL_SCOPES } from '../../../src/gateway/auth/principal.js'
import { Random } from '../../fakes/random.js'
import { testGateway, TOKEN, WITH_TOKEN, type Answer, type TestGateway } from '../../support/gateway.js'
import { AUDIENCE, ISSUER, KEYS, sign as signed } from './support.js'

const V1 = 'v1.kernel.websocket.jupyter.org'
/** These tokens are for the machine's own time. */
const sign = (claims: object = {}): string =>
  signed({ iat: undefined, exp: Math.floor(Date.now() / 1000) + 600, scopes: ALL_SCOPES, ...claims })

const gone = new Set<string>()
const lines: string[] = []
let gateway: TestGateway
beforeEach(async () => {
  gone.clear()
  lines.length = 0
  gateway = await testGateway({
    keys: { keys: () => KEYS, revoked: (id) => gone.has(id) },
    rules: { issuer: ISSUER, audience: AUDIENCE, origins: ['https://lab.example'] },
    origins: { origins: ['https://lab.example'], loopback: true, hosts: [] },
    log: lineLog('debug', (line) => lines.push(line)),
  })
})
afterEach(async () => {
  await gateway.close()
})

const as = (token: string): OutgoingHttpHeaders => ({ authorization: `Bearer ${token}` })
const send = (method: string, url: string, headers: OutgoingHttpHeaders = {}, body?: string): Promise<Answer> =>
  gateway.send({ method, url, headers, ...(body === undefined ? {} : { body }) })

/** All that comes back for an upgrade, as text. */
function upgrade(path: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  return new Promise((resolve, reject) => {
    const socket = createConnection(Number(port), hostname)
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.startsWith('HTTP/1.1 101')) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
    const all = {
      Host: `${hostname}:${port}`,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    }
    const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
    // What is sent behind the upgrade must not be read by anybody either.
    socket.write(`GET ${path} HTTP/1.1\r\n${head.join('')}\r\n\x81\x05hello`)
  })
}

const bodyOf = (method: string): string | undefined => (method.startsWith('P') ? '{}' : undefined)
const statusIn = (text: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])

async function kernelOf(token: string): Promise<string> {
  const { status, body } = await send('POST', '/api/kernels', as(token), '{}')
  expect(status).toBe(201)
  return body.id
}

describe('wrong tokens over real connections', () => {
  test('open nothing, wherever they stand: 600 of them', async () => {
    const id = await kernelOf(TOKEN)
    const random = new Random(7)
    const now = Math.floor(Date.now() / 1000)
    const good = sign()
    const wrong: (() => string)[] = [
      () => 'x'.repeat(20 + Math.floor(random.next() * 40)),
      () => TOKEN.slice(1),
      () => sign({ exp: now - 60 }),
      () => sign({ nbf: now + 60 }),
      () => sign({ aud: 'other' }),
      () => sign({ iss: 'https://evil.example' }),
      () => sign({ sub: undefined }),
      () => signed({ exp: now + 600 }, 'shared-1', { jku: 'https://evil.example/keys' }),
      () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`,
      () => good.replace(/.{6}$/, 'AAAAAA'),
    ]
    const path = `/api/kernels/${id}/channels`
    for (let n = 0; n < 100; n++) {
      const token = wrong[n % wrong.length]?.() ?? ''
      const answers = await Promise.all([
        send('GET', '/api/kernels', as(token)),
        send('POST', `/api/kernels?token=${token}`, {}, '{}'),
        send('DELETE', `/t/${token}/api/kernels/${id}`),
      ])
      const upgrades = await Promise.all([
        upgrade(`${path}?session_id=s&token=${token}`, {}),
        upgrade(path, { Authorization: `token ${token}` }),
        upgrade(path, { 'Sec-WebSocket-Protocol': `${V1}, v1.token.${token}` }),
      ])
      for (const status of [...answers.map((answer) => answer.status), ...upgrades.map(statusIn)])
        expect([401, 429]).toContain(status)
      for (const text of [...answers.map((answer) => answer.text), ...upgrades]) expect(text).not.toContain(token)
    }
    expect(gateway.kernels.list()).toHaveLength(1)
    expect(gateway.kernels.find(id)?.clients.size).toBe(0)
    expect((await send('GET', '/api/kernels', WITH_TOKEN)).status).toBe(200)
    expect(statusIn(await upgrade(path, { Authorization: `Bearer ${good}`, 'Sec-WebSocket-Protocol': V1 }))).toBe(404)
    expect(statusIn(await upgrade(path, { Authorization: `Bearer ${TOKEN}`, 'Sec-WebSocket-Protocol': V1 }))).toBe(101)
  })

  test('are answered with 429 and Retry-After after twenty, and a right one still with 200', async () => {
    for (let n = 0; n < authLimits.failuresPerMinute; n++)
      expect((await send('GET', '/api/kernels', as('no'))).status).toBe(401)
    const limited = await send('GET', '/api/kernels', as('no'))
    expect(limited).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0)
    const text = await upgrade('/api/kernels/k/channels', { Authorization: 'token no' })
    expect(text).toMatch(/^HTTP\/1\.1 429 .*\r\nRetry-After: \d+\r\n/s)
    expect((await send('GET', '/api/kernels', WITH_TOKEN)).status).toBe(200)
  })
})

describe('without a token', () => {
  test('only what is open answers', async () => {
    for (const url of ['/api', '/healthz', '/readyz']) expect((await send('GET', url)).status).toBe(200)
    for (const url of [
      '/api/status',
      '/api/kernels',
      '/api/sessions',
      '/api/kernelspecs',
      '/api/me',
      '/metrics',
      '/api/spec.yaml',
      '/kernelspecs/python3/logo-64x64.png',
      '/api/nothing',
    ]) {
      const { status, headers, body } = await send('GET', url)
      expect([url, status, body.code]).toEqual([url, 401, 'unauthorized'])
      expect(headers['www-authenticate']).toContain('Bearer')
    }
  })

  test('VS Code finds neither a login nor a password page', async () => {
    for (const url of ['/', '/tree?', '/login']) expect((await send('GET', url)).status).toBe(404)
  })
})

describe('foreign pages', () => {
  const evil = { origin: 'https://evil.example' }

  test('start nothing and open nothing, with a right token as well', async () => {
    const id = await kernelOf(TOKEN)
    expect((await send('POST', `/api/kernels?token=${TOKEN}`, evil, '{}')).status).toBe(403)
    expect((await send('DELETE', `/t/${TOKEN}/api/kernels/${id}`, evil)).status).toBe(403)
    expect(statusIn(await upgrade(`/api/kernels/${id}/channels?token=${TOKEN}`, { Origin: evil.origin }))).toBe(403)
    expect(
      statusIn(
        await upgrade(`/api/kernels/${id}/channels?token=${TOKEN}`, { Origin: 'https://lab.example.evil.example' }),
      ),
    ).toBe(403)
    expect(
      statusIn(await upgrade(`/api/kernels/${id}/channels?token=${TOKEN}`, { Origin: 'https://lab.example' })),
    ).toBe(101)
    expect(gateway.kernels.list()).toHaveLength(1)
  })

  test('that point their own name at this machine are refused', async () => {
    expect((await send('GET', '/api', { host: 'evil.example' })).status).toBe(403)
    expect(statusIn(await upgrade(`/api/kernels/k/channels?token=${TOKEN}`, { Host: 'evil.example:8890' }))).toBe(403)
  })

  test('may not read; allowed ones may, without credentials', async () => {
    const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
    const no = await send('OPTIONS', '/api/kernels', { ...evil, ...preflight })
    expect([no.status, no.headers['access-control-allow-origin']]).toEqual([204, undefined])
    const yes = await send('OPTIONS', '/api/kernels', { origin: 'https://lab.example', ...preflight })
    expect(yes.headers).toMatchObject({ 'access-control-allow-origin': 'https://lab.example' })
    expect(yes.headers['access-control-allow-credentials']).toBeUndefined()
    const read = await send('GET', '/api/kernels', { ...WITH_TOKEN, origin: 'https://lab.example' })
    expect(read.headers['access-control-allow-origin']).toBe('https://lab.example')
    const unread = await send('GET', '/api/kernels', { ...WITH_TOKEN, ...evil })
    expect(unread.headers['access-control-allow-origin']).toBeUndefined()
  })

  test('cannot use any answer as a script or a frame, an error neither', async () => {
    for (const [url, headers] of [
      ['/api', {}],
      ['/api/kernels', {}],
      ['/api/kernels', WITH_TOKEN],
      ['/nowhere', {}],
      ['/api/kernels/%zz', WITH_TOKEN],
    ] as const) {
      expect((await send('GET', url, headers)).headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
      })
    }
  })
})

describe('kernels of others', () => {
  test('are not there', async () => {
    const [alice, bob] = [sign({ sub: 'alice' }), sign({ sub: 'bob' })]
    const id = await kernelOf(alice)
    const session = await send(
      'POST',
      '/api/sessions',
      as(alice),
      JSON.stringify({ path: 'a.ipynb', type: 'notebook', kernel: { id } }),
    )
    expect(session.status).toBe(201)
    for (const [method, url] of [
      ['GET', `/api/kernels/${id}`],
      ['DELETE', `/api/kernels/${id}`],
      ['POST', `/api/kernels/${id}/interrupt`],
      ['POST', `/api/kernels/${id}/restart`],
      ['GET', `/api/sessions/${session.body.id}`],
      ['PATCH', `/api/sessions/${session.body.id}`],
      ['DELETE', `/api/sessions/${session.body.id}`],
    ] as const) {
      const foreign = await send(method, url, as(bob), bodyOf(method))
      const unknown = await send(method, url.replace(/[0-9a-f]{8}-/, '00000000-'), as(bob), bodyOf(method))
      expect([method, url, foreign.status]).toEqual([method, url, 404])
      expect(unknown.body.code).toBe(foreign.body.code)
    }
    expect(statusIn(await upgrade(`/api/kernels/${id}/channels`, { Authorization: `Bearer ${bob}` }))).toBe(404)
    for (const url of ['/api/kernels', '/api/sessions']) {
      expect((await send('GET', url, as(bob))).body).toEqual([])
      expect((await send('GET', url, as(alice))).body).toHaveLength(1)
      expect((await send('GET', url, WITH_TOKEN)).body).toHaveLength(1)
    }
    expect((await send('GET', '/api/status', as(bob))).body.kernels).toBe(0)
    const other = await send(
      'POST',
      '/api/sessions',
      as(bob),
      JSON.stringify({ path: 'a.ipynb', type: 'notebook', kernel: { id } }),
    )
    expect(other.status).toBe(409)
    expect(gateway.kernels.find(id)?.done).toEqual([])
  })
})

describe('scopes', () => {
  test('are those of the route', async () => {
    const id = await kernelOf(TOKEN)
    const calls = [
      ['GET', '/api/kernels', 'kernels:read'],
      ['POST', '/api/kernels', 'kernels:write'],
      ['POST', `/api/kernels/${id}/restart`, 'kernels:write'],
      ['GET', '/api/sessions', 'sessions:read'],
      ['GET', '/api/kernelspecs', 'kernelspecs:read'],
      ['GET', '/api/savepoint/pool', 'admin'],
    ] as const
    for (const [method, url, scope] of calls) {
      const without = sign({ sub: 'local2', scopes: ALL_SCOPES.filter((each) => each !== scope) })
      const denied = await send(method, url, as(without), bodyOf(method))
      expect([url, denied.status, denied.body.code]).toEqual([url, 403, 'forbidden'])
      expect(denied.body.message).toContain(scope)
      const enough = await send(method, url, as(sign({ scopes: [scope] })), bodyOf(method))
      expect(enough.status).not.toBe(403)
    }
    const reader = sign({ scopes: ALL_SCOPES.filter((each) => each !== 'kernels:execute') })
    expect(statusIn(await upgrade(`/api/kernels/${id}/channels`, { Authorization: `Bearer ${reader}` }))).toBe(403)
  })

  test('are needed by every route: one that is not in the table keeps the server from starting', async () => {
    const open = testGateway({ more: [(app) => void app.get('/api/new', (_request, reply) => reply.send({}))] })
    await expect(open).rejects.toThrow('GET /api/new')
  })
})

describe('a path with a token', () => {
  test('serves like one without, and comes back nowhere', async () => {
    const made = await send('POST', `/t/${TOKEN}/api/kernels`, {}, '{}')
    expect(made).toMatchObject({ status: 201, headers: { location: `/api/kernels/${made.body.id}` } })
    expect((await send('GET', `/t/${TOKEN}/api/kernels?1`)).body).toHaveLength(1)
    for (const url of [
      `/t/${TOKEN}/nowhere`,
      `/t/${TOKEN}/api/nowhere`,
      `//t/${TOKEN}/api/kernels`,
      `/api/kernels/${'x'.repeat(600)}?token=${TOKEN}`,
      `/t/${TOKEN}/%zz`,
    ]) {
      const answer = await send('GET', url)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(JSON.stringify([answer.text, answer.headers])).not.toContain(TOKEN)
    }
    expect(statusIn(await upgrade(`/t/${TOKEN}/api/kernels/${made.body.id}/channels`, {}))).toBe(101)
    const { text } = await send('GET', '/metrics', WITH_TOKEN)
    expect(text).toContain('http')
    expect(text).not.toContain(TOKEN)
    expect(lines.join('')).not.toContain(TOKEN)
  })
})

describe('a WebSocket', () => {
  const opened = (url: string, protocols: string[], headers: OutgoingHttpHeaders = {}): Promise<WebSocket> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${url}`, protocols, {
        headers: headers as Record<string, string>,
      })
      socket.on('open', () => resolve(socket))
      socket.on('error', reject)
    })

  test('is answered with the kernel’s protocol or the public one, never with the token', async () => {
    const id = await kernelOf(TOKEN)
    const path = `/api/kernels/${id}/channels?session_id=a`
    for (const [offered, chosen] of [
      [[V1, `v1.token.${TOKEN}`], V1],
      [[`v1.token.${TOKEN}`, V1], V1],
      [['v1.token.websocket.jupyter.org', `v1.token.websocket.jupyter.org.${TOKEN}`], 'v1.token.websocket.jupyter.org'],
    ] as const) {
      const socket = await opened(path, [...offered])
      expect(socket.protocol).toBe(chosen)
      socket.terminate()
    }
    expect(await upgrade(path, { 'Sec-WebSocket-Protocol': `v1.token.${TOKEN}` })).not.toContain(TOKEN)
  })

  test.each([
    // Enough for it to be opened, and little enough to wait for.
    ['expired', () => ({ exp: Math.floor(Date.now() / 1000) - authLimits.leewayS + 3 })],
    ['revoked', () => ({ jti: 'to-be-revoked' })],
  ])('ends with 1008 and a word why when its token is %s', async (why, claims) => {
    const id = await kernelOf(sign())
    const token = sign(claims())
    const socket = await opened(`/api/kernels/${id}/channels?session_id=a`, [V1], as(token))
    const frames: string[] = []
    socket.on('message', (data: Buffer) => frames.push(data.toString('latin1')))
    const closed = new Promise<[number, string]>((resolve) => {
      socket.on('close', (code, reason) => resolve([code, reason.toString()]))
    })
    gone.add('to-be-revoked')
    expect(await closed).toEqual([1008, expect.stringContaining(why)])
    expect(frames.join()).toContain(why)
    expect((await send('GET', '/api/kernels', as(token))).status).toBe(401)
  })
})

describe('a fault of ours', () => {
  test('shows neither tokens nor places, to the client or in the log', async () => {
    const logged: string[] = []
    const faulty = await testGateway({
      log: redactingLog(
        lineLog('debug', (line) => logged.push(line)),
        TOKEN,
      ),
      more: [
        (app) =>
          void app.post('/api/kernels/:id/move', ({ url, headers }) => {
            throw new Error(`at ${url} from ${headers.referer}, ${headers.authorization}`)
          }),
      ],
    })
    try {
      const answer = await faulty.send({
        method: 'POST',
        url: `/t/${TOKEN}/api/kernels/k/move?token=${TOKEN}`,
        headers: { ...WITH_TOKEN, referer: `http://127.0.0.1/t/${TOKEN}/lab?token=${TOKEN}` },
        body: '{}',
      })
      expect(answer).toMatchObject({ status: 500, body: { code: 'internal', details: {} } })
      expect(answer.text).not.toMatch(/\.js|\.ts|node_modules/)
      expect(logged.join('')).toContain('request_failed')
      for (const text of [answer.text, ...logged]) expect(text).not.toContain(TOKEN)
    } finally {
      await faulty.close()
    }
  })
})

describe('a redirect', () => {
  test('is never the answer, so that none leads elsewhere', async () => {
    for (const url of [
      '//evil.example',
      '//evil.example/%2f..',
      '/api/kernels/',
      '/api//kernels',
      '/login?next=//evil.example',
      '/\\evil.example',
      '/api/kernels/..%2f..',
      `/t/${TOKEN}`,
      '/t/',
    ]) {
      const { status, headers } = await send('GET', url, WITH_TOKEN)
      expect([url, status >= 300 && status < 400, headers['location']]).toEqual([url, false, undefined])
    }
  })
})
