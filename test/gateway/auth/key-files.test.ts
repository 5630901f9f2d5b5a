import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/clock.js'
import { silentLog } from '../../../src/log.js'
import type { KeySource } from '../../../src/gateway/auth/gate.js'
import { openKeyFiles } from '../../../src/gateway/auth/key-files.js'
import { parseKeySet } from '../../../src/gateway/auth/keys.js'
import { verifyJwt } from '../../../src/gateway/auth/jwt.js'
import {
  createToken,
  forgetEnded,
  listTokens,
  localKey,
  revokeToken,
  tokenPlaces,
} from '../../../src/gateway/auth/token-store.js'
import { FakeClock } from '../../fakes/clock.js'
import { ec, jwk, KEY_SET, rsa, secret } from './support.js'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'savepoint-auth-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const wanted = { subject: 'alice', scopes: ['kernels:read'], expiresAt: null } as const
const subjectOf = (token: string, source: KeySource): string => {
  const rules = { issuer: null, audience: null }
  const verdict = verifyJwt(token, source.keys(), rules, new Date(), (id) => source.revoked(id))
  return typeof verdict === 'string' ? verdict : verdict.principal.subject
}
/** What was seen of a file holds for some milliseconds; this clock makes each look a new one. */
const impatient = {
  ...systemClock,
  now: (() => {
    let n = 0
    return () => (n += 1_000)
  })(),
}
const open = (jwks: string | null = null): KeySource => openKeyFiles(dataDir, jwks, impatient, silentLog)

describe('tokens of the data folder', () => {
  test('are good at once in a gateway that runs, until they are revoked', () => {
    const source = open()
    const { token, record } = createToken(dataDir, wanted, new Date())
    const other = createToken(dataDir, wanted, new Date())
    expect(subjectOf(token, source)).toBe('alice')
    expect(revokeToken(dataDir, record.id)).toBe(true)
    expect(subjectOf(token, source)).toBe('revoked')
    expect(subjectOf(other.token, source)).toBe('alice')
  })

  test('are worthless in another data folder, and when the key is taken away', () => {
    const { token } = createToken(dataDir, wanted, new Date())
    const source = open()
    expect(subjectOf(token, source)).toBe('alice')
    rmSync(tokenPlaces(dataDir).key)
    expect(subjectOf(token, source)).toBe('key')
    localKey(dataDir)
    expect(subjectOf(token, source)).toBe('key')
  })

  test('are listed with what they allow, and nothing that was written holds them', () => {
    const { token, record } = createToken(dataDir, wanted, new Date())
    expect(listTokens(dataDir)).toEqual([record])
    const files = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(files.length).toBeGreaterThan(1)
    for (const { parentPath, name } of files) {
      const path = join(parentPath, name)
      expect(readFileSync(path).includes(token)).toBe(false)
      expect(statSync(path).mode & 0o777).toBe(0o600)
    }
    for (const folder of ['keys', 'tokens', 'tokens/revoked'])
      expect(statSync(join(dataDir, folder)).mode & 0o777).toBe(0o700)
  })

  test('that nobody made cannot be revoked by mistake, but those of other issuers can', () => {
    const source = open()
    expect(revokeToken(dataDir, '../../x')).toBe(false)
    expect(revokeToken(dataDir, '../../x', true)).toBe(true)
    expect(source.revoked('../../x')).toBe(true)
    expect(readdirSync(dataDir)).toEqual(['tokens'])
  })

  test('are forgotten long after their end', () => {
    const now = new Date()
    const { record } = createToken(dataDir, { ...wanted, expiresAt: new Date(now.getTime() - 1000) }, now)
    revokeToken(dataDir, record.id)
    forgetEnded(dataDir, now)
    expect(listTokens(dataDir)).toHaveLength(1)
    forgetEnded(dataDir, new Date(now.getTime() + 40 * 86_400_000))
    expect(listTokens(dataDir)).toEqual([])
    expect(readdirSync(tokenPlaces(dataDir).revoked)).toEqual([])
  })

  test('a key that others could read is taken away from them, and one of the wrong length is refused', () => {
    localKey(dataDir)
    const path = tokenPlaces(dataDir).key
    chmodSync(path, 0o644)
    localKey(dataDir)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileSync(path, 'short')
    expect(() => localKey(dataDir)).toThrow(expect.objectContaining({ code: 'storage_failed' }))
  })

  test('records that are none are passed over', () => {
    createToken(dataDir, wanted, new Date())
    for (const [name, text] of [
      ['a.json', '{'],
      ['b.json', 'null'],
      ['c.json', '{"id":"d"}'],
      ['e.txt', ''],
    ] as const)
      writeFileSync(join(dataDir, 'tokens', name), text)
    expect(listTokens(dataDir)).toHaveLength(1)
    expect(existsSync(join(dataDir, 'tokens', 'e.txt'))).toBe(true)
  })
})

describe('a JWKS file', () => {
  const idsOf = (source: KeySource): unknown[] => source.keys().map(({ id }) => id)

  test('is read again when it changes; half a file changes nothing, and none is none', () => {
    const path = join(dataDir, 'jwks.json')
    writeFileSync(path, JSON.stringify({ keys: KEY_SET.keys.slice(0, 1) }))
    const source = open(path)
    expect(idsOf(source)).toEqual(['rsa-1'])
    writeFileSync(path, JSON.stringify({ keys: KEY_SET.keys.slice(1) }))
    expect(idsOf(source)).toEqual(['ec-1', 'shared-1'])
    writeFileSync(path, '{"keys": [')
    expect(idsOf(source)).toEqual(['ec-1', 'shared-1'])
    rmSync(path)
    expect(idsOf(source)).toEqual([])
    writeFileSync(path, JSON.stringify(KEY_SET))
    expect(idsOf(source)).toEqual(['rsa-1', 'ec-1', 'shared-1'])
  })

  test('that helps nobody keeps the gateway from starting', () => {
    const path = join(dataDir, 'jwks.json')
    for (const text of [null, '', '[]', '{"keys":{}}', '{"keys":[]}', '{"keys":[{"kty":"OKP"}]}']) {
      if (text !== null) writeFileSync(path, text)
      expect(() => open(path)).toThrow(expect.objectContaining({ code: 'USAGE' }))
    }
  })

  test('is looked at once in a while, not for each request', () => {
    const path = join(dataDir, 'jwks.json')
    writeFileSync(path, JSON.stringify({ keys: KEY_SET.keys.slice(0, 1) }))
    const clock = new FakeClock()
    const source = openKeyFiles(dataDir, path, clock, silentLog)
    expect(idsOf(source)).toEqual(['rsa-1'])
    writeFileSync(path, JSON.stringify(KEY_SET))
    expect(idsOf(source)).toEqual(['rsa-1'])
    clock.advance(100)
    expect(idsOf(source)).toHaveLength(3)
  })

  test('gives each key the one algorithm that fits it, and leaves out what is no key for signatures', () => {
    const { keys, ignored } = parseKeySet(
      JSON.stringify({
        keys: [
          jwk(rsa.privateKey, { kid: 'a' }),
          rsa.privateKey.export({ format: 'jwk' }),
          { ...ec.privateKey.export({ format: 'jwk' }), kid: 'c', key_ops: ['verify'] },
          jwk(rsa.privateKey, { kid: 'a' }),
          jwk(rsa.privateKey, { kid: 'd', alg: 'HS256' }),
          jwk(rsa.privateKey, { kid: 'e', alg: 'none' }),
          jwk(rsa.privateKey, { kid: 'f', use: 'enc' }),
          jwk(rsa.privateKey, { kid: 'g', key_ops: ['encrypt'] }),
          jwk(rsa.privateKey, { kid: 7 }),
          { kty: 'oct', kid: 'short', k: secret.subarray(0, 16).toString('base64url') },
          { kty: 'RSA', kid: 'bad', n: 'x', e: 'AQAB' },
          { kty: 'EC', kid: 'curve', crv: 'P-384', x: 'x', y: 'y' },
          { kty: '__proto__' },
          null,
        ],
      }),
    )
    expect(keys.map(({ id, algorithm, key }) => [id, algorithm, key.type])).toEqual([
      ['a', 'RS256', 'public'],
      [null, 'RS256', 'public'],
      ['c', 'ES256', 'public'],
    ])
    expect(ignored).toHaveLength(11)
    expect(ignored.join()).not.toContain(secret.subarray(0, 16).toString('base64url'))
  })
})
