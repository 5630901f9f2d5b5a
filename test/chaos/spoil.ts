/** Makes bad bytes of good ones, by a seed: the same seed spoils the same way. */

import type { Random } from '../fakes/random.js'

/** Numbers that lengths and offsets go wrong by. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 9, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]
/** What JSON goes wrong by, and what programs stumble over. */
const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  'null',
  'true',
  '-1',
  '1e999',
  '0.1',
  '""',
  '{}',
  '[]',
  '"__proto__"',
  '"constructor"',
  '\\u0000',
  '\\ud800',
  '\u0000',
  '\ufeff',
  '\n',
  '{"a":'.repeat(64),
  '['.repeat(512),
  '<IDS|MSG>',
  '\u{1f600}',
]
const TWISTS = 10

/** A copy with one to three things wrong; now and then with none, or all of it random. */
export function spoiled(random: Random, good: Buffer, other: Buffer): Buffer {
  if (random.chance(0.02)) return noise(random, below(random, 200))
  let bytes: Buffer = Buffer.from(good)
  const times = below(random, 3) + (random.chance(0.97) ? 1 : 0)
  for (let n = 0; n < times; n += 1) bytes = twisted(random, bytes, other)
  return bytes
}

export function below(random: Random, end: number): number {
  return Math.floor(random.next() * end)
}

export function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => below(random, 256)))
}

function twisted(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const at = below(random, bytes.length + 1)
  const upTo = Math.min(bytes.length, at + below(random, 24))
  switch (below(random, TWISTS)) {
    case 0: // One bit.
      if (at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << below(random, 8)), at)
      return bytes
    case 1: // One byte.
      if (at < bytes.length) bytes.writeUInt8(below(random, 256), at)
      return bytes
    case 2: // The end is missing.
      return bytes.subarray(0, at)
    case 3: // The beginning is missing.
      return bytes.subarray(at)
    case 4: // Some of it is missing.
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(upTo)])
    case 5: // Some of it comes twice.
      return Buffer.concat([bytes.subarray(0, upTo), bytes.subarray(at)])
    case 6: // A piece of another one.
      return Buffer.concat([bytes.subarray(0, at), other.subarray(below(random, other.length + 1)), bytes.subarray(at)])
    case 7: // What JSON goes wrong by.
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(random.pick(TOKENS)), bytes.subarray(upTo)])
    case 8: // A length near the beginning, where they stand.
      return lengthened(random, bytes)
    default:
      return Buffer.concat([bytes.subarray(0, at), noise(random, below(random, 32)), bytes.subarray(at)])
  }
}

function lengthened(random: Random, bytes: Buffer): Buffer {
  const at = below(random, 12) * 4
  if (at + 4 > bytes.length) return bytes
  const value = random.chance(0.5) ? random.pick(EDGES) : below(random, bytes.length + 16)
  if (random.chance(0.5)) bytes.writeUInt32BE(value, at)
  else bytes.writeUInt32LE(value, at)
  return bytes
}
