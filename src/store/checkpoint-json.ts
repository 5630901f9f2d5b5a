/** The JSON in a checkpoint's file, checked once: the writer runs the user's code, so that it may write anything. */

import { SavepointError } from '../errors.js'
import { FORMAT_VERSION, type Label, type LostVariable, type Manifest, type Verdicts } from './checkpoint-record.js'
import { LOCAL_OWNER } from './owner.js'

type Json = Readonly<Record<string, unknown>>

/**
 * The manifest, of which unknown keys are left out. `end` is where the writer's part of the file ends: no section may
 * reach beyond it. Throws `damaged_checkpoint` or `format_unsupported`.
 */
export function parseManifest(bytes: Buffer, end: number): Manifest {
  const json = parseObject(bytes, 'manifest')
  const format_version = count(json, 'format_version')
  if (format_version !== FORMAT_VERSION) {
    throw new SavepointError(
      'format_unsupported',
      `The checkpoint has format ${format_version}; this release reads format ${FORMAT_VERSION}. Restore it with the release that wrote it.`,
      { format_version, supported: FORMAT_VERSION },
    )
  }
  for (const section of objects(json, 'sections')) {
    if (count(section, 'offset') + count(section, 'length') > end) throw malformed('sections')
  }
  return {
    format_version,
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
  }
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

function parseObject(bytes: Buffer, what: string): Json {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw malformed(what)
  }
  if (isObject(value)) return value
  throw malformed(what)
}

function objects(json: Json, key: string): readonly Json[] {
  const value = json[key]
  if (Array.isArray(value) && value.every(isObject)) return value
  throw malformed(key)
}

function text(json: Json, key: string): string {
  const value = json[key]
  if (typeof value === 'string') return value
  throw malformed(key)
}

function textOrNull(json: Json, key: string): string | null {
  return json[key] === null ? null : text(json, key)
}

function number(json: Json, key: string): number {
  const value = json[key]
  if (typeof value === 'number' && value >= 0) return value
  throw malformed(key)
}

function count(json: Json, key: string): number {
  const value = number(json, key)
  if (Number.isSafeInteger(value)) return value
  throw malformed(key)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(key: string): SavepointError {
  return new SavepointError(
    'damaged_checkpoint',
    `The checkpoint is damaged: ${key} is malformed. Restore another one.`,
    { key },
  )
}
