import { silentLog, type Log } from '../../../src/log.js'
import { createGate, type Gate, type KeySource } from '../../../src/gateway/auth/gate.js'
import type { VerificationKey } from '../../../src/gateway/auth/keys.js'
import { authLimits } from '../../../src/gateway/auth/limits.js'
import type { Principal } from '../../../src/gateway/auth/principal.js'
import { isRefusal, refusalHeaders } from '../../../src/gateway/auth/refusal.js'
import { FakeClock } from '../../fakes/clock.js'
import { bearer, KEYS, NOW_S, OWN_TOKEN, request, RULES, sign } from './support.js'

interface Stage {
  readonly gate: Gate
  readonly clock: FakeClock
  readonly source: KeySource & { held: readonly VerificationKey[]; readonly gone: Set<string> }
}

const stages: Gate[] = []
afterEach(() => stages.splice(0).forEach((gate) => gate.close()))

function stage(requestsPerMinute: number | null = null, log: Log = silentLog): Stage {
  const clock = new FakeClock()
  const gone = new Set<string>()
  const source = {
    held: KEYS,
    gone,
    keys: () => source.held,
    revoked: (id: string) => gone.has(id),
  }
  const gate = createGate({ token: OWN_TOKEN, rules: RULES, requestsPerMinute }, source, clock, log)
  stages.push(gate)
  return { gate, clock, source }
}

async function principal({ gate }: Stage, token: string): Promise<Principal> {
  const answer = await gate.authenticate(request({ headers: bearer(token) }))
  if (isRefusal(answer)) throw new Error(answer.message)
  return answer
}

describe('wrong tokens', () => {
  const wrong = (n: number, peer = '192.0.2.1') => request({ peer, headers: bearer(`wrong-${n}`) })

  test('are refused with 401 twenty times a minute, then with 429 and when to come again', async () => {
    const { gate } = stage()
    for (let n = 0; n < authLimits.failuresPerMinute; n++)
      expect(await gate.authenticate(wrong(n))).toMatchObject({ status: 401, code: 'unauthorized' })
    const refusal = await gate.authenticate(wrong(99))
    expect(refusal).toMatchObject({ status: 429, code: 'rate_limited' })
    if (!isRefusal(refusal)) throw new Error('let in')
    const after = Number(refusalHeaders(refusal)['Retry-After'])
    expect(after).toBeGreaterThan(0)
    expect(after).toBeLessThanOrEqual(60)
  })

  test('of one address do not count against others, nor against a right token', async () => {
    const { gate } = stage()
    for (let n = 0; n < 50; n++) await gate.authenticate(wrong(n))
    expect(await gate.authenticate(wrong(1, '192.0.2.2'))).toMatchObject({ status: 401 })
    expect(await gate.authenticate(request({ peer: '192.0.2.1', headers: bearer(OWN_TOKEN) }))).toMatchObject({
      subject: 'local',
    })
    expect(await gate.authenticate(request({ peer: '192.0.2.1', headers: bearer(sign()) }))).toMatchObject({
      subject: 'alice',
    })
  })

  test('that were not shown are no failures, and neither are foreign pages', async () => {
    const { gate } = stage()
    for (let n = 0; n < 50; n++) {
      expect(await gate.authenticate(request())).toMatchObject({ status: 401 })
      expect(await gate.authenticate(request({ headers: { origin: 'https://evil.example' } }))).toMatchObject({
        status: 403,
      })
    }
    expect(await gate.authenticate(wrong(1, '127.0.0.1'))).toMatchObject({ status: 401 })
  })

  test('from all addresses of one IPv6 network are counted together', async () => {
    const { gate } = stage()
    for (let n = 0; n < 20; n++) await gate.authenticate(wrong(n, `2001:db8:0:1::${n + 1}`))
    expect(await gate.authenticate(wrong(1, '2001:0db8::1:2:3:4:5'))).toMatchObject({ status: 429 })
    expect(await gate.authenticate(wrong(1, '2001:db8:0:2::1'))).toMatchObject({ status: 401 })
  })

  test('from very many addresses are counted together once there are too many', async () => {
    const { gate } = stage()
    for (let n = 0; n < authLimits.addressesMax; n++)
      await gate.authenticate(wrong(n, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`))
    const last = []
    for (let n = 0; n <= 20; n++) last.push(await gate.authenticate(wrong(n, `172.16.0.${n}`)))
    expect(last.at(-1)).toMatchObject({ status: 429 })
    expect(await gate.authenticate(wrong(1, '10.0.0.0'))).toMatchObject({ status: 401 })
  })

  test('are logged with what was wrong, and without the token', async () => {
    const lines: string[] = []
    const { gate } = stage(null, (_level, event, fields) => lines.push(JSON.stringify({ event, ...fields })))
    const expired = sign({ exp: NOW_S - 60 })
    for (const token of ['not-the-token', expired]) await gate.authenticate(request({ headers: bearer(token) }))
    expect(lines).toEqual([
      '{"event":"token_refused","fault":"unknown","address":"127.0.0.1"}',
      '{"event":"token_refused","fault":"expired","address":"127.0.0.1"}',
    ])
  })
})

describe('requests', () => {
  test('of one subject are bounded if that is set, whichever token it uses', async () => {
    const { gate } = stage(5)
    const ask = (sub: string, jti: string) => gate.authenticate(request({ headers: bearer(sign({ sub, jti })) }))
    for (let n = 0; n < 5; n++) expect(await ask('alice', `t${n}`)).toMatchObject({ subject: 'alice' })
    expect(await ask('alice', 't9')).toMatchObject({ status: 429, code: 'rate_limited' })
    expect(await ask('bob', 't9')).toMatchObject({ subject: 'bob' })
    expect(await gate.authenticate(request({ route: '/healthz' }))).toMatchObject({ subject: '' })
  })
})

describe('whoever was let in', () => {
  test('is told once when the token expires', async () => {
    const at = stage()
    const told: string[] = []
    at.gate.watch(await principal(at, sign({ exp: NOW_S + 60 })), (why) => told.push(why))
    at.clock.advance(60_000)
    expect(told).toEqual([])
    at.clock.advance(60_000)
    expect(told).toEqual(['expired'])
    expect(at.clock.pending).toBe(0)
  })

  test('is told when the token is revoked, and nobody else is', async () => {
    const at = stage()
    const told: string[] = []
    for (const jti of ['one', 'two'])
      at.gate.watch(await principal(at, sign({ jti })), (why) => told.push(`${jti} ${why}`))
    at.gate.watch(await principal(at, OWN_TOKEN), (why) => told.push(`own ${why}`))
    at.source.gone.add('one')
    at.clock.advance(2 * authLimits.watchMs)
    expect(told).toEqual(['one revoked'])
  })

  test('is told when the key that signed the token is taken away', async () => {
    const at = stage()
    const told: string[] = []
    for (const kid of ['shared-1', 'ec-1'] as const)
      at.gate.watch(await principal(at, sign({}, kid)), (why) => told.push(`${kid} ${why}`))
    at.source.held = KEYS.filter(({ id }) => id !== 'ec-1')
    at.clock.advance(2 * authLimits.watchMs)
    expect(told).toEqual(['ec-1 revoked'])
  })

  test('is not told any more once nobody listens, and nothing waits then', async () => {
    const at = stage()
    const stop = at.gate.watch(await principal(at, sign({ exp: NOW_S + 1 })), () => {
      throw new Error('called')
    })
    stop()
    at.clock.advance(60_000)
    expect(at.clock.pending).toBe(0)
  })
})
