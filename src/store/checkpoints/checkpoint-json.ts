/** The JSON in the files of checkpoints, checked once: the writer runs the user's code, so that it may write anything. */

import { SavepointError } from '../../errors.js'
import { FORMAT_VERSIONS, type Label, type LostVariable, type Manifest, type Verdicts } from './checkpoint-record.js'
import { LOCAL_OWNER } from '../owner.js'
import type { PackLabel } from '../chunks/pack-file.js'

export type Json = Readonly<Record<string, unknown>>

/**
 * The manifest of a file of the first format, of which unknown keys are left out. `end` is where the writer's part of
 * the file ends: no section may reach beyond it. Throws `damaged_checkpoint` or `format_unsupported`.
 */
export function parseManifest(bytes: Buffer, end: number): Manifest {
  const json = parseObject(bytes, 'manifest')
  requireFormat(json, 1)
  for (const section of objects(json, 'sections')) {
    if (count(section, 'offset') + count(section, 'length') > end) throw malformed('sections')
  }
  return { ...summaryOf(json), total_bytes: null }
}

/** Throws `format_unsupported` unless it is what the beginning of the file promised. */
export function requireFormat(json: Json, expected: number): void {
  const format_version = count(json, 'format_version')
  if (format_version !== expected) throw formatUnsupported(format_version)
}

export function formatUnsupported(format_version: number | null): SavepointError {
  const supported = FORMAT_VERSIONS
  return new SavepointError(
    'format_unsupported',
    `The checkpoint has format ${format_version ?? 'that is unknown'}; this release reads formats ${supported.join(' and ')}. Restore it with the release that wrote it.`,
    { format_version, supported },
  )
}

/** What both formats say of themselves. */
export function summaryOf(json: Json): Omit<Manifest, 'total_bytes'> {
  return {
    format_version: count(json, 'format_version'),
    python_version: text(json, 'python_version'),
    namespace_size: count(json, 'namespace_size'),
    function_count: count(json, 'function_count'),
    class_count: count(json, 'class_count'),
    verdicts: verdicts(json['verdicts']),
    lost: objects(json, 'lost').map(lostVariable),
  }
}

/** What was put before the signature. Throws `damaged_checkpoint`. */
export function parseLabel(bytes: Buffer): Label {
  const json = parseObject(bytes, 'label')
  return {
    checkpoint_id: text(json, 'checkpoint_id'),
    name: textOrNull(json, 'name'),
    note: textOrNull(json, 'note'),
    parent_id: textOrNull(json, 'parent_id'),
    branch: text(json, 'branch'),
    kernel_id: text(json, 'kernel_id'),
    // The first files had none: there was but one.
    owner: json['owner'] === undefined ? LOCAL_OWNER : text(json, 'owner'),
    created_at: text(json, 'created_at'),
    execution_count: count(json, 'execution_count'),
    pause_ms: number(json, 'pause_ms'),
    write_ms: number(json, 'write_ms'),
    in_transaction: json['in_transaction'] === true,
    // A file of the first format has no pack.
    pack: json['pack'] === undefined ? null : textOrNull(json, 'pack'),
    pack_bytes: json['pack_bytes'] === undefined ? 0 : count(json, 'pack_bytes'),
  }
}

/** What was put before a pack's signature. Throws `damaged_checkpoint`. */
export function parsePackLabel(bytes: Buffer): PackLabel {
  const json = parseObject(bytes, 'label')
  return { pack_id: text(json, 'pack_id'), owner: text(json, 'owner'), created_at: text(json, 'created_at') }
}

function lostVariable(json: Json): LostVariable {
  return { name: text(json, 'name'), type: text(json, 'type'), reason: text(json, 'reason') }
}

function verdicts(value: unknown): Verdicts {
  if (!isObject(value)) throw malformed('verdicts')
  const given = (key: keyof Verdicts): number => (value[key] === undefined ? 0 : count(value, key))
  return {
    exact: given('exact'),
    equal: given('equal'),
    rebuilt: given('rebuilt'),
    replayed: given('replayed'),
    lost: given('lost'),
  }
}

export function parseObject(bytes: Buffer, what: string): Json {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw malformed(what)
  }
  if (isObject(value)) return value
  throw malformed(what)
}

export function objects(json: Json, key: string): readonly Json[] {
  const value = json[key]
  if (Array.isArray(value) && value.every(isObject)) return value
  throw malformed(key)
}

export function text(json: Json, key: string): string {
  const value = json[key]
  if (typeof value === 'string') return value
  throw malformed(key)
}

export function textOrNull(json: Json, key: string): string | null {
  return json[key] === null ? null : text(json, key)
}

function number(json: Json, key: string): number {
  const value = json[key]
  if (typeof value === 'number' && value >= 0) return value
  throw malformed(key)
}

export function count(json: Json, key: string): number {
  const value = number(json, key)
  if (Number.isSafeInteger(value)) return value
  throw malformed(key)
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function malformed(key: string): SavepointError {
  return new SavepointError(
    'damaged_checkpoint',
    `The checkpoint is damaged: ${key} is malformed. Restore another one.`,
    { key },
  )
}
