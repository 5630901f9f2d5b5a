/** The root of a checkpoint's tree, and the references in it. */

import { damaged } from '../chunks/sealed-end.js'
import {
  count,
  isObject,
  malformed,
  parseObject,
  requireFormat,
  summaryOf,
  text,
  type Json,
} from './checkpoint-json.js'
import type { Manifest } from './checkpoint-record.js'
import { isDigest, type Digest } from '../chunks/chunk.js'
import { storeLimits } from '../limits.js'

/**
 * A reference to content of any size: the concatenation of `chunks`; with a `depth`, their concatenation is the raw
 * digests of the next level, and so on. What is short stands in the reference itself.
 */
export interface Ref {
  readonly bytes: number
  readonly chunks: readonly Digest[]
  readonly depth: number
  readonly inline: Buffer | null
}

export interface Root {
  readonly manifest: Manifest
  /** The list of variables, which refers to what they hold; null: there is none. */
  readonly variables: Ref | null
  /** The cells that were run: lines of [number, text]; null: none were kept. */
  readonly history: Ref | null
  /** All other references. */
  readonly others: readonly Ref[]
}

/** Throws `damaged_checkpoint` or `format_unsupported`. Unknown parts count by the references in them. */
export function parseRoot(bytes: Buffer): Root {
  const json = parseObject(bytes, 'root')
  requireFormat(json, 2)
  const parts = json['parts']
  if (!isObject(parts)) throw malformed('parts')
  const { variables, history, ...others } = parts
  return {
    manifest: { ...summaryOf(json), total_bytes: count(json, 'total_bytes') },
    variables: variables === undefined || variables === null ? null : refOf(variables),
    history: history === undefined || history === null ? null : refOf(history),
    others: refsIn(others),
  }
}

/** Every reference in a JSON value, at whatever depth. Throws `damaged_checkpoint` for a malformed one. */
export function refsIn(value: unknown): Ref[] {
  const refs: Ref[] = []
  const left: unknown[] = [value]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (typeof next !== 'object' || next === null) continue
    if (isObject(next) && isRef(next)) refs.push(refOf(next))
    // Not by spreading: a list may be longer than a call can have arguments.
    else for (const inner of Object.values(next)) left.push(inner)
  }
  return refs
}

function isRef(json: object): boolean {
  return 'chunks' in json && 'bytes' in json
}

function refOf(value: unknown): Ref {
  if (!isObject(value)) throw malformed('parts')
  const chunks = value['chunks']
  const depth = value['depth'] ?? 0
  if (!Array.isArray(chunks) || !chunks.every(isDigest)) throw malformed('chunks')
  if (!Number.isInteger(depth) || (depth as number) < 0 || (depth as number) > storeLimits.listDepthMax) {
    throw damaged('a reference in it is malformed')
  }
  const bytes = count(value, 'bytes')
  return { bytes, chunks, depth: depth as number, inline: inlineOf(value, bytes) }
}

function inlineOf(json: Json, bytes: number): Buffer | null {
  if (json['inline'] === undefined) return null
  const content = Buffer.from(text(json, 'inline'), 'base64')
  if (content.length === bytes) return content
  throw damaged('a reference in it is malformed')
}
