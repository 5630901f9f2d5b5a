/** Frames of WebSockets: as jupyter_server and JupyterLab write and read them, and whatever else somebody may send. */

import { readFileSync } from 'node:fs'
import serialization from '@jupyterlab/services/lib/kernel/serialize.js'
import fc from 'fast-check'
import { SavepointError } from '../../src/errors.js'
import { seal } from '../../src/wire/codec.js'
import { EMPTY_OBJECT, json } from '../../src/wire/message.js'
import type { Channel, RequestChannel } from '../../src/wire/message.js'
import { PARTS_MAX, V1_SUBPROTOCOL } from '../../src/wire/websocket.js'
import type { Received } from '../../src/wire/websocket.js'
import { decodeLegacyBinary, decodeLegacyText, encodeLegacy as legacyParts } from '../../src/wire/websocket-legacy.js'
import { decodeV1, encodeV1 as v1Parts } from '../../src/wire/websocket-v1.js'

interface Vector {
  readonly name: string
  readonly channel: RequestChannel
  /** Header, parent header, metadata, content, buffers; in hex like the frames. */
  readonly parts: readonly string[]
  readonly v1: string
  readonly legacy: string
}

const vectors = ['jupyter_server', 'jupyterlab'].flatMap((peer) => {
  const path = new URL(`../../../test/vectors/websocket/${peer}.json`, import.meta.url)
  return (JSON.parse(readFileSync(path, 'utf8')) as Vector[]).map((vector) => ({ ...vector, peer }))
})

const unhex = (text: string): Buffer => Buffer.from(text, 'hex')
const sealedOf = (parts: readonly Buffer[]): Buffer[] => [Buffer.from('<IDS|MSG>'), Buffer.alloc(0), ...parts]
const partsOf = ({ message }: Received): Buffer[] => [
  message.headerBytes,
  message.parentBytes,
  message.metadataBytes,
  message.contentBytes,
  ...message.buffers,
]
const isBinary = ({ parts }: Vector): boolean => parts.length > 4
const decodeLegacy = (frame: Buffer, binary: boolean): Received =>
  binary ? decodeLegacyBinary(frame) : decodeLegacyText(frame)
const encodeV1 = (...args: Parameters<typeof v1Parts>): Buffer => Buffer.concat(v1Parts(...args))
const encodeLegacy = (...args: Parameters<typeof legacyParts>): { data: Buffer; binary: boolean } => {
  const { parts, binary } = legacyParts(...args)
  return { data: Buffer.concat(parts), binary }
}
/** JupyterLab's reader wants an ArrayBuffer of its own. */
const arrayBufferOf = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer

const HEADER = json({ msg_id: 'm', msg_type: 'comm_msg', session: 's', username: 'u', date: '', version: '5.3' })
const PARTS = [HEADER, EMPTY_OBJECT, EMPTY_OBJECT, EMPTY_OBJECT]

function codeOf(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error instanceof SavepointError ? error.code : error
  }
  return null
}

describe('the framing v1', () => {
  test.each(vectors)('reads what $peer writes: $name', (vector) => {
    const received = decodeV1(unhex(vector.v1))
    expect(received.channel).toBe(vector.channel)
    expect(partsOf(received).map((part) => part.toString('hex'))).toEqual(vector.parts)
    expect(received.message.header.msg_id).toBe('m-1')
  })

  test.each(vectors)('writes the bytes that $peer writes: $name', (vector) => {
    expect(encodeV1(vector.channel, sealedOf(vector.parts.map(unhex))).toString('hex')).toBe(vector.v1)
  })

  test.each([-1, 0, 1])('reads and writes buffers of 10 MiB and %i bytes as JupyterLab does', (more) => {
    const buffer = Buffer.alloc(10 * 1024 * 1024 + more, 0xfe)
    const frame = encodeV1('iopub', sealedOf([...PARTS, buffer]))
    const read = serialization.deserialize(arrayBufferOf(frame), V1_SUBPROTOCOL)
    expect(read.buffers?.[0]?.byteLength).toBe(buffer.length)
    const written = serialization.serialize({ ...read, channel: 'shell' } as never, V1_SUBPROTOCOL)
    const received = decodeV1(Buffer.from(written as ArrayBuffer))
    expect(received.message.buffers[0]?.equals(buffer)).toBe(true)
  })

  test('copies no part of what comes in', () => {
    const frame = encodeV1('shell', sealedOf([...PARTS, Buffer.from('x')]))
    for (const part of partsOf(decodeV1(frame))) expect(part.buffer).toBe(frame.buffer)
  })
})

describe('the legacy framing', () => {
  test.each(vectors)('reads what $peer writes: $name', (vector) => {
    const received = decodeLegacy(unhex(vector.legacy), isBinary(vector))
    const texts = (parts: readonly Buffer[]): unknown[] => parts.slice(0, 4).map((part) => JSON.parse(part.toString()))
    const wanted = vector.parts.map(unhex)
    expect(received.channel).toBe(vector.channel)
    expect(texts(partsOf(received))).toEqual(texts(wanted))
    expect(received.message.buffers).toEqual(wanted.slice(4))
  })

  test.each(vectors)('is read by JupyterLab, and holds what $peer puts in: $name', (vector) => {
    const { data, binary } = encodeLegacy(vector.channel, sealedOf(vector.parts.map(unhex)))
    expect(binary).toBe(isBinary(vector))
    const read = (frame: Buffer): Record<string, unknown> => {
      const message = serialization.deserialize((binary ? arrayBufferOf(frame) : frame.toString()) as ArrayBuffer)
      const buffers = (message.buffers ?? []).map((each) => Buffer.from((each as DataView).buffer as ArrayBuffer))
      return { ...message, buffers }
    }
    const ours = read(data)
    expect(ours).toMatchObject(read(unhex(vector.legacy)))
    expect(ours).toMatchObject({ msg_id: 'm-1', msg_type: 'comm_msg', channel: vector.channel })
  })

  test.each(vectors.filter(isBinary))('has the table of offsets that $peer writes: $name', (vector) => {
    const { data } = encodeLegacy(vector.channel, sealedOf(vector.parts.map(unhex)))
    const theirs = unhex(vector.legacy)
    const table = 4 * (theirs.readUInt32BE(0) + 1)
    const jsonLength = (frame: Buffer): number => frame.readUInt32BE(8) - frame.readUInt32BE(4)
    const shift = jsonLength(data) - jsonLength(theirs)
    const offsets = (frame: Buffer, by: number): number[] =>
      Array.from({ length: table / 4 }, (_, i) => frame.readUInt32BE(i * 4) + (i < 2 ? 0 : by))
    expect(offsets(data, 0)).toEqual(offsets(theirs, shift))
    expect(data.subarray(table + jsonLength(data))).toEqual(theirs.subarray(table + jsonLength(theirs)))
  })

  test.each([-1, 0, 1])('reads and writes buffers of 10 MiB and %i bytes as JupyterLab does', (more) => {
    const buffer = Buffer.alloc(10 * 1024 * 1024 + more, 0xfe)
    const { data } = encodeLegacy('shell', sealedOf([...PARTS, buffer]))
    const read = serialization.deserialize(arrayBufferOf(data))
    expect(read.buffers?.[0]?.byteLength).toBe(buffer.length)
    expect(decodeLegacyBinary(data).message.buffers[0]?.equals(buffer)).toBe(true)
  })

  test('hands on the bytes of every part as they came, numbers and spaces included', () => {
    const content = '{ "n" : 12345678901234567890, "x": NaN, "s": "\\ud800" ,"deep":[{"}":"\\\\"},"]"] }'
    const header = HEADER.toString()
    const text = ` {"content" : ${content},"channel":"control", "header": ${header},"buffers":[]}\n`
    const { channel, message } = decodeLegacyText(Buffer.from(text))
    expect(channel).toBe('control')
    expect(message.contentBytes.toString()).toBe(content)
    expect(message.headerBytes.toString()).toBe(header)
    expect([message.parentBytes, message.metadataBytes]).toEqual([EMPTY_OBJECT, EMPTY_OBJECT])
  })

  test('takes a date in seconds, as jupyter_server’s GatewayKernelClient sends it, and makes it text', () => {
    const header = { msg_id: 'm', msg_type: 'kernel_info_request', date: 1795275570.62302, other: '"date": 1' }
    const { message } = decodeLegacyText(Buffer.from(JSON.stringify({ header, channel: 'shell' })))
    expect(JSON.parse(message.headerBytes.toString())).toEqual({ ...header, date: '2026-11-21T15:39:30.623Z' })
  })

  test('takes a message without a channel as one on shell, and says so', () => {
    expect(decodeLegacyText(Buffer.from(`{"header":${HEADER.toString()}}`))).toMatchObject({
      channel: 'shell',
      channelMissing: true,
    })
  })
})

describe('what no client should send', () => {
  const words = (...values: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(values.length * 8)
    for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), i * 8)
    return bytes
  }
  const good = encodeV1('shell', sealedOf(PARTS))
  const changed = (index: number, value: number): Buffer =>
    Buffer.concat([good.subarray(0, index * 8), words(value), good.subarray(index * 8 + 8)])

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a number', good.subarray(0, 5)],
    ['a table that ends early', good.subarray(0, 30)],
    ['too few parts', changed(0, 5)],
    ['no parts', changed(0, 0)],
    ['too many parts', changed(0, PARTS_MAX + 3)],
    ['more parts than memory', changed(0, 2 ** 52)],
    ['an offset into the table', changed(1, 8)],
    ['an offset that goes back', changed(3, good.length - 1)],
    ['an offset beyond the end', changed(6, good.length + 1)],
    ['an offset beyond 2^53', Buffer.concat([good.subarray(0, 48), Buffer.alloc(8, 255), good.subarray(56)])],
  ])('is refused in v1: %s', (_what, frame) => {
    expect(codeOf(() => decodeV1(frame))).toBe('WIRE_BAD_FRAME')
  })

  test.each([
    ['no JSON', 'hello'],
    ['an array', '[]'],
    ['an object that does not end', '{"header":{}'],
    ['a string that does not end', '{"header'],
    ['something after the object', '{} {}'],
    ['a comma too many', '{"channel":"shell",}'],
    ['a member without a value', '{"channel":}'],
    ['a channel that is no text', '{"channel":1}'],
  ])('is refused in legacy text: %s', (_what, text) => {
    expect(codeOf(() => decodeLegacyText(Buffer.from(text)))).toBe('WIRE_BAD_FRAME')
  })

  test('is refused in legacy binary', () => {
    const { data } = encodeLegacy('shell', sealedOf([...PARTS, Buffer.from('x')]))
    const spoil = (at: number, value: number): Buffer => {
      const copy = Buffer.from(data)
      copy.writeUInt32BE(value, at)
      return copy
    }
    const frames = [
      data.subarray(0, 3),
      data.subarray(0, 9),
      spoil(0, 0),
      spoil(0, 2 ** 32 - 1),
      spoil(4, 3),
      spoil(8, 5),
    ]
    for (const frame of frames) expect(codeOf(() => decodeLegacyBinary(frame))).toBe('WIRE_BAD_FRAME')
  })

  test.each<[string, string]>([
    ['iopub', 'WIRE_UNKNOWN_CHANNEL'],
    ['hb', 'WIRE_UNKNOWN_CHANNEL'],
    ['', 'WIRE_UNKNOWN_CHANNEL'],
  ])('is refused for its channel: %s', (channel, code) => {
    expect(codeOf(() => decodeV1(encodeV1(channel as Channel, sealedOf(PARTS))))).toBe(code)
    const text = JSON.stringify({ channel, header: JSON.parse(HEADER.toString()) })
    expect(codeOf(() => decodeLegacyText(Buffer.from(text)))).toBe(code)
  })

  test.each<[string, readonly Buffer[], string]>([
    ['a header that is no JSON', [Buffer.from('{'), EMPTY_OBJECT, EMPTY_OBJECT, EMPTY_OBJECT], 'WIRE_BAD_JSON'],
    ['a header that is no UTF-8', [Buffer.from('7b2261223a22ff227d', 'hex'), ...PARTS.slice(1)], 'WIRE_BAD_JSON'],
    ['a header without a type', [json({ msg_id: 'm' }), ...PARTS.slice(1)], 'WIRE_BAD_SHAPE'],
    ['content that is no object', [...PARTS.slice(0, 3), Buffer.from('[]')], 'WIRE_BAD_SHAPE'],
  ])('has the same shape checked as on ZeroMQ: %s', (_what, parts, code) => {
    expect(codeOf(() => decodeV1(encodeV1('shell', sealedOf(parts))))).toBe(code)
  })

  test('is refused with nothing but an error of ours', () => {
    const start = fc.constantFrom(good, encodeLegacy('shell', sealedOf([...PARTS, Buffer.from('x')])).data)
    const edits = fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 0, max: 255 })), { maxLength: 6 })
    const spoiled = fc.tuple(start, edits, fc.nat(300)).map(([frame, changes, length]) => {
      const copy = Buffer.from(frame.subarray(0, length))
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value
      return copy
    })
    const text = fc.oneof(fc.json(), fc.string()).map((each) => Buffer.from(each))
    fc.assert(
      fc.property(
        fc.oneof(
          spoiled,
          text,
          fc.uint8Array().map((each) => Buffer.from(each)),
        ),
        (frame) => {
          for (const decode of [decodeV1, decodeLegacyBinary, decodeLegacyText]) {
            const code = codeOf(() => decode(frame))
            if (code !== null) expect(typeof code).toBe('string')
          }
        },
      ),
      { numRuns: 1000 },
    )
  })
})

test('whatever is sealed is read as the same message in both framings', () => {
  const object = fc.dictionary(fc.string(), fc.json({ stringUnit: 'binary' })).map(json)
  const text = fc.string({ minLength: 1, unit: 'binary' })
  fc.assert(
    fc.property(
      fc.record({ type: text, parentBytes: object, metadataBytes: object, contentBytes: object }),
      fc.array(fc.uint8Array()),
      fc.constantFrom<RequestChannel>('shell', 'control', 'stdin'),
      (fields, bytes, channel) => {
        const buffers = bytes.map((each) => Buffer.from(each))
        const sealed = seal({ ...fields, buffers }, { msg_id: 'm', date: '', session: 's' }, null)
        const { data, binary } = encodeLegacy(channel, sealed)
        for (const received of [decodeV1(encodeV1(channel, sealed)), decodeLegacy(data, binary)]) {
          expect(received.channel).toBe(channel)
          expect(partsOf(received)).toEqual(sealed.slice(2))
        }
      },
    ),
  )
})
