/** The store of checkpoints, as far as it is needed without a kernel. */

import type { Readable, Writable } from 'node:stream'

/** As on the wire; of its fields these matter here. */
export interface CheckpointRecord {
  readonly checkpoint_id: string
  readonly name?: string | null
  readonly kernel_id?: string
}

export interface ImportWishes {
  /** Whose it is to be. */
  readonly owner: string
  /** Name of a key that may have signed it; null: only this gateway's own. */
  readonly trust: string | null
}

export interface CheckpointStore {
  /** Newest first; `owner` null: everybody's, `kernelId` null: of all kernels; `text` is looked for in names and notes. */
  list(query: {
    readonly owner: string | null
    readonly kernelId: string | null
    readonly branch: string | null
    readonly text: string | null
    readonly limit: number
    readonly before: string | null
  }): Promise<{ readonly items: readonly CheckpointRecord[]; readonly total_count: number }>
  /** By its id, or the newest of that name. null: there is none, or it is not theirs. */
  get(idOrName: string, owner: string | null): Promise<CheckpointRecord | null>
  /** The record with its `objects`. Throws `damaged_checkpoint`, `foreign_checkpoint`, `format_unsupported`. */
  describe(id: string): Promise<object>
  /** Reads all of it: `{valid, damaged: [{code, message, details}]}`. */
  validate(id: string): Promise<object>
  /** What the second has that the first has not, and so on: `{added, removed, changed, code}`. */
  diff(from: string, to: string): Promise<object>
  /** Writes it as one file; what is wrong with it is thrown before the first byte. */
  exportTo(id: string, target: Writable): Promise<void>
  /** Takes in a file that `exportTo` wrote somewhere. Throws `foreign_checkpoint`, `damaged_checkpoint`, `too_large`. */
  importFrom(body: Readable, wishes: ImportWishes): Promise<CheckpointRecord>
  remove(id: string): Promise<void>
}
