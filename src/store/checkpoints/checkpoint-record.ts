/** A checkpoint as clients see it, and the two halves that it is put together from. */

import { v7 } from 'uuid'
import { SavepointError } from '../../errors.js'
import { storeLimits } from '../limits.js'

/** What this release reads: 1 = one file that holds everything, 2 = a manifest whose chunks lie in packs. */
export const FORMAT_VERSIONS: readonly number[] = [1, 2]

export interface LostVariable {
  readonly name: string
  readonly type: string
  readonly reason: string
}

export interface Verdicts {
  readonly exact: number
  readonly equal: number
  readonly rebuilt: number
  readonly replayed: number
  readonly lost: number
}

/** What the writer says in the file's manifest, as far as it matters here. */
export interface Manifest {
  readonly format_version: number
  readonly python_version: string
  readonly namespace_size: number
  readonly function_count: number
  readonly class_count: number
  readonly verdicts: Verdicts
  readonly lost: readonly LostVariable[]
  /** Raw bytes of everything that it refers to; null: all of it is in its file. */
  readonly total_bytes: number | null
}

/** What the writer cannot know; it stands in the file too, so that the file alone gives the whole record. */
export interface Label {
  readonly checkpoint_id: string
  readonly name: string | null
  readonly note: string | null
  readonly parent_id: string | null
  readonly branch: string
  readonly kernel_id: string
  /** Who owned the kernel, and may read the checkpoint. */
  readonly owner: string
  readonly created_at: string
  readonly execution_count: number
  readonly pause_ms: number
  readonly write_ms: number
  readonly in_transaction: boolean
  /** The pack that was written for it, and its bytes; null and 0 where everything was there already. */
  readonly pack: string | null
  readonly pack_bytes: number
}

export interface CheckpointRecord extends Omit<Label, 'owner' | 'pack' | 'pack_bytes'>, Omit<Manifest, 'total_bytes'> {
  readonly state: 'stored'
  readonly checkpoint_size: number
  readonly written_bytes: number
  readonly data: null
}

/** What a checkpoint's file says of itself. */
export interface Contents {
  readonly label: Label
  readonly manifest: Manifest
  readonly fileBytes: number
  /** Which key signed it. */
  readonly keyId: string
}

export function recordOf({ label, manifest, fileBytes }: Contents): CheckpointRecord {
  return {
    checkpoint_id: label.checkpoint_id,
    name: label.name,
    note: label.note,
    state: 'stored',
    parent_id: label.parent_id,
    branch: label.branch,
    kernel_id: label.kernel_id,
    created_at: label.created_at,
    execution_count: label.execution_count,
    namespace_size: manifest.namespace_size,
    function_count: manifest.function_count,
    class_count: manifest.class_count,
    checkpoint_size: manifest.total_bytes ?? fileBytes,
    written_bytes: fileBytes + label.pack_bytes,
    data: null,
    format_version: manifest.format_version,
    python_version: manifest.python_version,
    pause_ms: label.pause_ms,
    write_ms: label.write_ms,
    verdicts: manifest.verdicts,
    lost: manifest.lost,
    in_transaction: label.in_transaction,
  }
}

/** Whether nobody asked for it by name: what the rules of keeping are about. */
export function isAutomatic({ name, note }: { readonly name: string | null; readonly note: string | null }): boolean {
  return name === null && note !== null && note.startsWith('automatic: ')
}

/** Ids of later checkpoints sort after those of earlier ones. */
export function newCheckpointId(): string {
  return `cp_${v7().replaceAll('-', '')}`
}

/** Only what this accepts becomes part of a path. */
export function isCheckpointId(text: string): boolean {
  return /^cp_[0-9a-f]{32}$/.test(text)
}

/** 1 to 200 characters, no slash, no control character, not like an id. Throws `name_invalid`. */
export function checkCheckpointName(name: string): void {
  const length = [...name].length
  if (length >= 1 && length <= 200 && !/[/\p{Cc}]/u.test(name) && !name.startsWith('cp_')) return
  throw new SavepointError(
    'name_invalid',
    'The name of a checkpoint has 1 to 200 characters, no slash and no control characters, and does not start with cp_. Choose another one.',
  )
}

/** Throws `bad_request`. */
export function checkNote(note: string): void {
  if (note.length <= storeLimits.noteCharsMax) return
  throw new SavepointError('bad_request', `A note has ${storeLimits.noteCharsMax} characters at most. Shorten it.`)
}
