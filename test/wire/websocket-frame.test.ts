/** Frames of a server, as the peer library reads them that clients use. */

import type { Writable } from 'node:stream'
import fc from 'fast-check'
import * as ws from 'ws'
import { socketFrame } from '../../src/wire/websocket-frame.js'

/** It has no types of its own. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable }

/** What a client makes of the bytes. */
function read(bytes: Buffer): { readonly data: Buffer; readonly binary: boolean } {
  const receiver = new Receiver({ isServer: false })
  const heard: { data: Buffer; binary: boolean }[] = []
  receiver.on('message', (data: Buffer, binary: boolean) => void heard.push({ data, binary }))
  receiver.write(bytes)
  if (heard.length !== 1 || heard[0] === undefined) throw new Error(`${heard.length} messages were heard.`)
  return heard[0]
}

describe('frames of a server', () => {
  test.each([0, 1, 125, 126, 127, 16_383, 16_384, 65_535, 65_536, 5_000_000])(
    'of %i bytes are read as what was put in',
    (length) => {
      const part = Buffer.alloc(length, 'x')
      for (const binary of [true, false]) {
        const { pieces, bytes } = socketFrame(binary, [part])
        const whole = Buffer.concat(pieces)
        expect(whole.length).toBe(bytes)
        const heard = read(whole)
        expect(heard.binary).toBe(binary)
        expect(heard.data.equals(part)).toBe(true)
      }
    },
  )

  test('keep the order of small and large parts, and copy no large one', () => {
    const lengths = fc.array(fc.constantFrom(0, 1, 100, 16_383, 16_384, 70_000), { maxLength: 8 })
    fc.assert(
      fc.property(lengths, (found) => {
        const parts = found.map((length, i) => Buffer.alloc(length, i))
        const { pieces } = socketFrame(true, parts)
        for (const large of parts.filter((part) => part.length >= 16_384)) expect(pieces).toContain(large)
        expect(read(Buffer.concat(pieces)).data.equals(Buffer.concat(parts))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test('of a small message are one piece', () => {
    expect(socketFrame(true, ['a', 'b', 'c'].map(Buffer.from)).pieces).toHaveLength(1)
  })
})
