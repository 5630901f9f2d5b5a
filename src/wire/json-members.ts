/**
 * Where the members of a JSON object lie in its bytes, without parsing their values.
 *
 * A value that is parsed and written again may come out changed: integers beyond 2^53 lose digits, and NaN, which Python
 * clients send, is refused. So values stay the bytes that they were. Only as much is checked as is needed to find their
 * ends; whoever parses a value finds what else is wrong with it.
 */

import { badFrame } from './websocket.js'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const BRACKET_OPEN = 0x5b
const BRACKET_CLOSE = 0x5d

/** The bytes of each member's value; of members with the same name the last one. Throws WIRE_BAD_FRAME. */
export function jsonMembers(bytes: Buffer): ReadonlyMap<string, Buffer> {
  const members = new Map<string, Buffer>()
  let at = expect(bytes, afterSpace(bytes, 0), BRACE_OPEN)
  if (bytes[at] === BRACE_CLOSE) return finish(bytes, at + 1, members)
  for (;;) {
    const keyEnd = endOfString(bytes, at)
    const key = textOf(bytes.subarray(at, keyEnd))
    const start = expect(bytes, afterSpace(bytes, keyEnd), COLON)
    const end = endOfValue(bytes, start)
    members.set(key, bytes.subarray(start, end))
    at = afterSpace(bytes, end)
    if (bytes[at] === BRACE_CLOSE) return finish(bytes, at + 1, members)
    at = expect(bytes, at, COMMA)
  }
}

/** The text of a JSON string. Throws WIRE_BAD_FRAME. */
export function textOf(bytes: Buffer): string {
  let value: unknown = null
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    // The parser's message would quote what it read.
  }
  if (typeof value !== 'string') throw malformed()
  return value
}

function finish<T>(bytes: Buffer, at: number, members: T): T {
  if (afterSpace(bytes, at) !== bytes.length) throw malformed()
  return members
}

/** The place after the expected byte and the space that follows it. */
function expect(bytes: Buffer, at: number, byte: number): number {
  if (bytes[at] !== byte) throw malformed()
  return afterSpace(bytes, at + 1)
}

function endOfValue(bytes: Buffer, start: number): number {
  const first = bytes[start]
  if (first === QUOTE) return endOfString(bytes, start)
  if (first === BRACE_OPEN || first === BRACKET_OPEN) return endOfNested(bytes, start)
  let at = start
  while (at < bytes.length && !endsScalar(bytes[at])) at += 1
  if (at === start) throw malformed()
  return at
}

function endOfNested(bytes: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (byte === QUOTE) at = endOfString(bytes, at) - 1
    else if (byte === BRACE_OPEN || byte === BRACKET_OPEN) depth += 1
    else if (byte === BRACE_CLOSE || byte === BRACKET_CLOSE) {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  throw malformed()
}

/** After the closing quote: the first one with an even number of backslashes before it. */
function endOfString(bytes: Buffer, start: number): number {
  if (bytes[start] !== QUOTE) throw malformed()
  for (let from = start + 1; ;) {
    const quote = bytes.indexOf(QUOTE, from)
    if (quote < 0) throw malformed()
    let backslashes = 0
    while (bytes[quote - 1 - backslashes] === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return quote + 1
    from = quote + 1
  }
}

function endsScalar(byte: number | undefined): boolean {
  return byte === COMMA || byte === BRACE_CLOSE || byte === BRACKET_CLOSE || isSpace(byte)
}

function afterSpace(bytes: Buffer, start: number): number {
  let at = start
  while (isSpace(bytes[at])) at += 1
  return at
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function malformed(): Error {
  return badFrame('A message is no JSON object.')
}
