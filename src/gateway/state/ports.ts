/** The store of checkpoints, as far as it is needed without a kernel. */

/** As on the wire; of its fields this one matters here. */
export interface CheckpointRecord {
  readonly checkpoint_id: string
}

export interface CheckpointStore {
  /** Newest first; `owner` null: everybody's, `kernelId` null: of all kernels. */
  list(query: {
    readonly owner: string | null
    readonly kernelId: string | null
    readonly branch: string | null
    readonly limit: number
    readonly before: string | null
  }): Promise<{ readonly items: readonly CheckpointRecord[]; readonly total_count: number }>
  /** null: there is none, or it is not theirs. */
  get(id: string, owner: string | null): Promise<CheckpointRecord | null>
  /** Throws `damaged_checkpoint`, `foreign_checkpoint`, `format_unsupported`. */
  verify(id: string): Promise<unknown>
  remove(id: string): Promise<void>
}
