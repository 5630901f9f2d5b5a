/** The server below its routes: connections, TLS, upgrades, and what is no HTTP. */

import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import { packageRoot } from '../../src/config.js'
import { testGateway, TOKEN, WITH_TOKEN, type TestGateway } from '../support/gateway.js'

const PEM = join(packageRoot, 'test', 'vectors', 'tls')
const pem = (name: string): string => join(PEM, name)

let gateway: TestGateway
afterEach(async () => {
  await gateway.close()
})

/** What the server says to these bytes, until it hangs up. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1', () => socket.write(bytes))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
  })
}

/** Body of the last answer in what was said. */
function bodyOf(said: string): { code: string; message: string } {
  return JSON.parse(said.slice(said.lastIndexOf('\r\n\r\n'))) as { code: string; message: string }
}

describe('connections', () => {
  test('on which no HTTP is spoken get a JSON error, and are closed', async () => {
    gateway = await testGateway()
    for (const bytes of [
      'junk\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET /api HTTP/1.1\r\nA b: c\r\n\r\n',
      '\x16\x03\x01\x02',
    ]) {
      const said = await raw(bytes)
      expect(said).toMatch(/^HTTP\/1\.1 400 /)
      expect(bodyOf(said).code).toBe('bad_request')
    }
    expect((await gateway.ask('GET', '/api')).status).toBe(200)
  })

  test('that are slow with their headers are closed', async () => {
    gateway = await testGateway({ limits: { headersMs: 300, requestMs: 600 } })
    const said = await raw('GET /api HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
    expect(said).toMatch(/^HTTP\/1\.1 408 /)
    expect(bodyOf(said).code).toBe('timeout')
  })

  test('with headers that are too large are refused', async () => {
    gateway = await testGateway()
    const said = await raw(`GET /api HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'x'.repeat(100_000)}\r\n\r\n`)
    expect(said).toMatch(/^HTTP\/1\.1 431 /)
    expect(bodyOf(said).code).toBe('too_large')
  })

  test('of one address are as many as the setting says, and free again when they end', async () => {
    gateway = await testGateway({ limits: { connectionsPerAddressMax: 3 } })
    const port = Number(new URL(gateway.url).port)
    const open = (): Promise<ReturnType<typeof connect>> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket))
      })
    const sockets = await Promise.all([open(), open(), open()])
    await expect(gateway.ask('GET', '/api')).rejects.toThrow()
    const ended = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of sockets) socket.destroy()
    await Promise.all(ended)
    let status = 0
    // The server hears of it a moment later.
    while (status === 0)
      status = await gateway.ask('GET', '/api').then(
        (answer) => answer.status,
        () => 0,
      )
    expect(status).toBe(200)
  })

  test('to a port that is in use are an error with the remedy', async () => {
    gateway = await testGateway()
    const other = await testGateway()
    try {
      await other.close()
      const port = Number(new URL(gateway.url).port)
      await expect(testGateway({ port })).rejects.toMatchObject({
        code: 'PORT_IN_USE',
        message: `Port ${port} of 127.0.0.1 is in use. Choose another one (--port), or any free one (--port 0).`,
      })
    } finally {
      await other.close()
    }
  })
})

describe('upgrades', () => {
  const upgrade = (path: string, headers = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`

  test('to what is no WebSocket, or of a kernel that is not there, are 404 before the protocols are switched', async () => {
    gateway = await testGateway()
    const auth = `Authorization: token ${TOKEN}\r\n`
    for (const path of ['/api/kernels', '/api/events/subscribe', '/api/kernels/none/channels', '/']) {
      const said = await raw(upgrade(path, auth))
      expect(said).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/)
      expect(said).not.toContain('101')
      expect(bodyOf(said).message).not.toBe('')
    }
  })

  test('that are no proper handshake are refused and harm nobody', async () => {
    gateway = await testGateway()
    const { id } = (await gateway.ask('POST', '/api/kernels')).body
    const said = await raw(
      `GET /api/kernels/${id}/channels HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: token ${TOKEN}\r\n\r\n`,
    )
    expect(said).toMatch(/^HTTP\/1\.1 400 /)
    expect(bodyOf(said)).toMatchObject({ code: 'bad_request', message: expect.stringContaining('Sec-WebSocket-Key') })
    expect((await gateway.ask('GET', `/api/kernels/${id}`)).status).toBe(200)
  })

  test('to another protocol say that there is none', async () => {
    gateway = await testGateway()
    const said = await raw(
      `GET /api/kernels HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nAuthorization: token ${TOKEN}\r\n\r\n`,
    )
    expect(said).toMatch(/^HTTP\/1\.1 400 /)
    expect(bodyOf(said).message).toContain('There is no upgrade to h2c here.')
  })

  test('lead to the kernel, below a base URL and with the token in the path as well', async () => {
    gateway = await testGateway({ baseUrl: '/x/' })
    const { id } = (await gateway.ask('POST', '/x/api/kernels')).body
    const url = gateway.url.replace('http', 'ws')
    const socket = new WebSocket(`${url}/t/${TOKEN}/api/kernels/${id}/channels?session_id=s`)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    expect(gateway.kernels.find(id)?.clients.size).toBeGreaterThan(0)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.close()
    await closed
  })

  test('that never end do not keep the server from ending', async () => {
    gateway = await testGateway()
    const { id } = (await gateway.ask('POST', '/api/kernels')).body
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/api/kernels/${id}/channels?token=${TOKEN}`)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await gateway.close()
    await closed
  })
})

describe('TLS', () => {
  interface Seen {
    readonly status: number
    readonly subject: string
  }
  const ask = (options: object = {}): Promise<Seen> =>
    new Promise((resolve, reject) => {
      const ca = readFileSync(pem('ca.pem'))
      const asked = request(
        `${gateway.url}/api/kernels`,
        { ca, headers: WITH_TOKEN, agent: false, ...options },
        (answer) => {
          const certificate: PeerCertificate = (answer.socket as TLSSocket).getPeerCertificate()
          answer.resume()
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, subject: String(certificate.subject.CN) }))
        },
      )
      asked.on('error', reject)
      asked.end()
    })

  test('is spoken with the certificate of the setting, and with a new one once it was read again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'savepoint-tls-'))
    try {
      const files = { certfile: join(folder, 'cert.pem'), keyfile: join(folder, 'key.pem'), clientCa: null }
      const use = (name: string): void => {
        copyFileSync(pem(`${name}.pem`), files.certfile)
        copyFileSync(pem(`${name}.key`), files.keyfile)
      }
      use('server')
      gateway = await testGateway({ tls: files })
      expect(gateway.url).toMatch(/^https:/)
      expect(await ask()).toEqual({ status: 200, subject: 'server' })
      use('other')
      gateway.reloadTls()
      expect(await ask()).toEqual({ status: 200, subject: 'other' })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('with a CA for clients lets in who shows a certificate of it, and nobody else', async () => {
    const tls = { certfile: pem('server.pem'), keyfile: pem('server.key'), clientCa: pem('ca.pem') }
    gateway = await testGateway({ tls })
    await expect(ask()).rejects.toThrow()
    const client = { cert: readFileSync(pem('client.pem')), key: readFileSync(pem('client.key')) }
    expect((await ask(client)).status).toBe(200)
  })
})
