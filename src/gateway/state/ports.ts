/** The store of checkpoints, as far as it is needed without a kernel. */

/** As on the wire; of its fields these matter here. */
export interface CheckpointRecord {
  readonly checkpoint_id: string
  readonly kernel_id: string
}

export interface CheckpointStore {
  /** Newest first; `kernelId` null: of all kernels. */
  list(query: {
    readonly kernelId: string | null
    readonly branch: string | null
    readonly limit: number
    readonly before: string | null
  }): Promise<{ readonly items: readonly CheckpointRecord[]; readonly total_count: number }>
  /** null: there is none. */
  get(id: string): Promise<CheckpointRecord | null>
  /** Throws `damaged_checkpoint`, `foreign_checkpoint`, `format_unsupported`. */
  verify(id: string): Promise<unknown>
  remove(id: string): Promise<void>
}
