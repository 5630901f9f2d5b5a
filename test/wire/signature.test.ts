import { SavepointError } from '../../src/errors.js'
import { SignatureGuard, createSigner } from '../../src/wire/signature.js'

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof SavepointError) return error.code
    throw error
  }
  return 'accepted'
}

const FRAMES = ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text))

test.each(['sha256', 'hmac-', 'hmac-crc32', 'HMAC-SHA256', 'hmac-constructor', 'hmac-__proto__', ''])(
  'the scheme "%s" is refused by name',
  (scheme) => {
    expect(codeOf(() => createSigner(scheme, 'key'))).toBe('WIRE_UNKNOWN_SCHEME')
  },
)

test('a refused scheme is told together with those that work, and without the key', () => {
  expect(() => createSigner('hmac-crc32', 'secret')).toThrow(/hmac-sha256/)
  expect(() => createSigner('hmac-crc32', 'secret')).not.toThrow(/secret/)
})

test('an empty key means no signer', () => {
  expect(createSigner('hmac-sha256', '')).toBeNull()
})

test('the frames are signed as one text, wherever they are divided', () => {
  const sign = createSigner('hmac-sha256', 'key')
  expect(sign?.(FRAMES)).toEqual(sign?.([Buffer.from('abcd')]))
})

describe('SignatureGuard', () => {
  const sign = createSigner('hmac-sha256', 'key')

  /** The `n`th of many different messages, with its signature. */
  function numbered(n: number): [Buffer, Buffer[]] {
    const frames = [Buffer.from(String(n))]
    return [sign?.(frames) ?? Buffer.alloc(0), frames]
  }

  test('remembers the last 32768 messages, and forgets in the long run', () => {
    const guard = new SignatureGuard(sign)
    const count = 70_000
    for (let n = 0; n < count; n += 1) guard.check(...numbered(n))
    expect(codeOf(() => guard.check(...numbered(count - 1)))).toBe('WIRE_REPLAYED')
    expect(codeOf(() => guard.check(...numbered(count - 32_768)))).toBe('WIRE_REPLAYED')
    expect(codeOf(() => guard.check(...numbered(0)))).toBe('accepted')
  })

  test('junk cannot push out what is remembered', () => {
    const guard = new SignatureGuard(sign)
    guard.check(...numbered(0))
    for (let n = 0; n < 70_000; n += 1) {
      expect(codeOf(() => guard.check(Buffer.from(`${n}`.padStart(64, '0')), FRAMES))).toBe('WIRE_BAD_SIGNATURE')
    }
    expect(codeOf(() => guard.check(...numbered(0)))).toBe('WIRE_REPLAYED')
  })

  test('without a key the same message may come twice: there is nothing to tell a replay by', () => {
    const guard = new SignatureGuard(null)
    expect(codeOf(() => guard.check(Buffer.alloc(0), FRAMES))).toBe('accepted')
    expect(codeOf(() => guard.check(Buffer.alloc(0), FRAMES))).toBe('accepted')
  })
})
