import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { SavepointError } from '../../src/errors.js'
import { ENVELOPE_BYTES_MAX, FrameReader, encodeFrame } from '../../src/link/framing.js'
import type { Envelope, Frame } from '../../src/link/protocol.js'

interface Vector {
  readonly name: string
  readonly hex: string
  readonly refused?: boolean
  readonly envelope?: Envelope & { readonly parts?: unknown }
  readonly parts?: readonly string[]
}

const VECTORS = new URL('../../../test/vectors/link/frames.json', import.meta.url)
const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vector[]

function read(bytes: Buffer, pieceLength: number = bytes.length): Frame[] {
  const reader = new FrameReader()
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; at += pieceLength)
    frames.push(...reader.push(bytes.subarray(at, at + pieceLength)))
  return frames
}

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof SavepointError) return error.code
    throw error
  }
  return 'accepted'
}

/** A frame whose lengths may lie. */
function forged(envelope: string | Buffer, parts: string, lies: { frame?: number; envelope?: number } = {}): Buffer {
  const bytes = Buffer.from(envelope)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(lies.frame ?? 4 + bytes.length + parts.length, 0)
  head.writeUInt32BE(lies.envelope ?? bytes.length, 4)
  return Buffer.concat([head, bytes, Buffer.from(parts)])
}

describe('the vectors that both halves of the link read', () => {
  test.each(vectors.filter((vector) => vector.refused !== true))('$name', (vector) => {
    const bytes = Buffer.from(vector.hex, 'hex')
    const { parts: _lengths, ...envelope } = vector.envelope as Envelope & { readonly parts?: unknown }
    const parts = (vector.parts ?? []).map((part) => Buffer.from(part, 'hex'))
    for (const pieceLength of [bytes.length, 1, 7]) {
      const frames = read(bytes, pieceLength)
      expect(frames).toHaveLength(1)
      expect(frames[0]?.envelope).toEqual(envelope)
      expect(frames[0]?.parts.map((part) => part.toString('hex'))).toEqual(parts.map((part) => part.toString('hex')))
    }
    expect(read(Buffer.concat(encodeFrame(envelope, parts)))[0]?.envelope).toEqual(envelope)
  })

  test.each(vectors.filter((vector) => vector.refused === true))('$name is refused', (vector) => {
    expect(codeOf(() => read(Buffer.from(vector.hex, 'hex')))).toBe('LINK_BAD_FRAME')
  })
})

describe('encodeFrame', () => {
  test('lays out the lengths, the envelope and the parts as the format says', () => {
    const [head, ...parts] = encodeFrame({ kind: 'x' }, [Buffer.from('ab'), Buffer.alloc(0)])
    const text = '{"kind":"x","parts":[2,0]}'
    expect(head?.readUInt32BE(0)).toBe(4 + text.length + 2)
    expect(head?.readUInt32BE(4)).toBe(text.length)
    expect(head?.subarray(8).toString()).toBe(text)
    expect(Buffer.concat(parts).toString()).toBe('ab')
  })

  test('passes parts on without copying them', () => {
    const part = Buffer.alloc(1000)
    expect(encodeFrame({ kind: 'x' }, [part])[1]).toBe(part)
  })

  test('refuses an envelope above the bound', () => {
    const envelope = { kind: 'x', text: 'a'.repeat(ENVELOPE_BYTES_MAX) }
    expect(codeOf(() => encodeFrame(envelope))).toBe('LINK_BAD_FRAME')
  })
})

describe('FrameReader', () => {
  const envelopes = fc.record({ kind: fc.string(), text: fc.string({ unit: 'binary' }), number: fc.integer() })
  const frames = fc.array(fc.tuple(envelopes, fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 })), {
    maxLength: 5,
  })

  test('reads back what was written, however the bytes are chopped', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (written, lengths) => {
        const bytes = Buffer.concat(
          written.flatMap(([envelope, parts]) =>
            encodeFrame(
              envelope,
              parts.map((part) => Buffer.from(part)),
            ),
          ),
        )
        const reader = new FrameReader()
        const found: Frame[] = []
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = lengths[turn % lengths.length] ?? 1
          found.push(...reader.push(bytes.subarray(at, at + length)))
          at += length
        }
        expect(found.map((frame) => [frame.envelope, frame.parts.map((part) => Uint8Array.from(part))])).toEqual(
          written,
        )
      }),
    )
  })

  test('copies nothing when a frame arrives in one chunk', () => {
    const bytes = Buffer.concat(encodeFrame({ kind: 'x' }, [Buffer.from('part')]))
    const reader = new FrameReader()
    for (let turn = 0; turn < 3; turn += 1) {
      const part = reader.push(bytes)[0]?.parts[0]
      expect(part?.toString()).toBe('part')
      expect(part?.buffer).toBe(bytes.buffer)
    }
  })

  test('takes a part of 50 MB in chunks of a pipe without growing quadratically', () => {
    const part = Buffer.alloc(50_000_000, 7)
    const bytes = Buffer.concat(encodeFrame({ kind: 'x' }, [part]))
    const before = performance.now()
    const found = read(bytes, 8192)
    // One copy takes some 20 ms; joining at every chunk would copy 150 GB.
    expect(performance.now() - before).toBeLessThan(5000)
    expect(found[0]?.parts[0]?.equals(part)).toBe(true)
  })

  test.each<[string, Buffer]>([
    ['a length too short for its own head', forged('{"kind":"x"}', '', { frame: 1 })],
    ['an envelope longer than the frame', forged('{"kind":"x"}', '', { envelope: 500 })],
    ['an empty envelope', forged('', '')],
    ['an envelope that is no JSON', forged('{"kind":', '')],
    ['an envelope that is no UTF-8', forged(Buffer.from('7b226b696e64223a22ff227d', 'hex'), '')],
    ['an envelope that is a list', forged('["kind"]', '')],
    ['an envelope that is null', forged('null', '')],
    ['an envelope without a kind', forged('{"parts":[]}', '')],
    ['a kind that is no string', forged('{"kind":1}', '')],
    ['lengths that are no list', forged('{"kind":"x","parts":4}', 'abcd')],
    ['parts that say less than there is', forged('{"kind":"x","parts":[1,1]}', 'abc')],
    ['parts that say more than there is', forged('{"kind":"x","parts":[4]}', 'abc')],
    ['bytes that no part claims', forged('{"kind":"x"}', 'abc')],
    ['a negative length', forged('{"kind":"x","parts":[4,-1]}', 'abc')],
    ['a fractional length', forged('{"kind":"x","parts":[1.5,1.5]}', 'abc')],
    ['a length that is no number', forged('{"kind":"x","parts":["3"]}', 'abc')],
  ])('refuses %s', (_name, bytes) => {
    expect(codeOf(() => read(bytes))).toBe('LINK_BAD_FRAME')
    expect(codeOf(() => read(bytes, 1))).toBe('LINK_BAD_FRAME')
  })

  test('reads large frames among small ones, however the bytes are chopped', () => {
    const large = Buffer.alloc(700_000, 'large')
    const sent = [[Buffer.from('a')], [large, Buffer.from('b')], [large], [Buffer.from('c')]]
    const bytes = Buffer.concat(sent.flatMap((parts, i) => encodeFrame({ kind: `frame ${i}` }, parts)))
    for (const size of [1000, 65_536, 262_144, 700_003, bytes.length]) {
      const reader = new FrameReader()
      const frames: Frame[] = []
      for (let at = 0; at < bytes.length; at += size) frames.push(...reader.push(bytes.subarray(at, at + size)))
      expect(frames.map(({ envelope }) => envelope.kind)).toEqual(['frame 0', 'frame 1', 'frame 2', 'frame 3'])
      expect(frames.every(({ parts }, i) => parts.every((part, n) => part.equals(sent[i]?.[n] ?? large)))).toBe(true)
    }
  })

  test('refuses stray bytes that announce gigabytes at once, however they come', () => {
    for (const pieceLength of [1, 5, 34]) {
      expect(codeOf(() => read(Buffer.from('garbage that is no frame at all...'), pieceLength))).toBe('LINK_BAD_FRAME')
    }
  })

  test('accepts a replacement character that really stands in the text', () => {
    expect(read(forged('{"kind":"\ufffd"}', ''))[0]?.envelope.kind).toBe('\ufffd')
  })

  test('refuses a frame above its limit from the length alone, before any of it is kept', () => {
    const reader = new FrameReader({ frameBytesMax: 100 })
    expect(codeOf(() => reader.push(Buffer.from([0, 0, 0, 101])))).toBe('LINK_BAD_FRAME')
    expect(codeOf(() => new FrameReader().push(Buffer.from([0x80, 0, 0, 0])))).toBe('LINK_BAD_FRAME')
  })

  test('yields nothing more after a refusal', () => {
    const reader = new FrameReader()
    expect(codeOf(() => reader.push(forged('[]', '')))).toBe('LINK_BAD_FRAME')
    expect(codeOf(() => reader.push(forged('{"kind":"x"}', '')))).toBe('LINK_BAD_FRAME')
  })

  test('says nothing of the content that it refuses', () => {
    let message = ''
    try {
      read(forged('{"kind":"x","code":secret}', ''))
    } catch (error) {
      message = JSON.stringify(error) + String(error)
    }
    expect(message).toContain('LINK_BAD_FRAME')
    expect(message).not.toContain('secret')
  })
})
