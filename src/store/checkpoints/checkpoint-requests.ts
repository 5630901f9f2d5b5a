/** What is asked of the store of checkpoints, and what it answers. */

import type { CheckpointRecord } from './checkpoint-record.js'

export interface BeginRequest {
  readonly kernelId: string
  readonly name: string | null
  readonly note: string | null
  /** What it follows; absent: the newest of its kernel. */
  readonly parent?: string | null
  /** Default: `main`. */
  readonly branch?: string
  /** The writer is told nothing of what is there already: it writes all. For a second try. */
  readonly fresh?: boolean
}

export interface Reservation {
  readonly checkpoint_id: string
  /** Where the writer is to write its manifest and its pack; neither is there yet. */
  readonly path: string
  readonly pack: string
  /** A file of the digests that the owner has already, 32 bytes each; null: none. */
  readonly known: string | null
}

/** Where a kernel stands in the tree of its checkpoints. */
export interface Head {
  /** null: before the first. */
  readonly head: string | null
  readonly branch: string
}

/** What the kernel knows of a checkpoint once its writer has ended. */
export interface SealFacts {
  readonly pause_ms: number
  readonly write_ms: number
  readonly in_transaction: boolean
  readonly execution_count: number
}

export interface ListQuery {
  /** Only this owner's, of those that can be seen at all. */
  readonly owner?: string | null
  /** Only this kernel's; absent: everybody's. */
  readonly kernelId?: string | null
  readonly branch?: string | null
  /** Only with this text in their name or note. */
  readonly text?: string | null
  readonly limit?: number
  readonly before?: string | null
}

export interface CheckpointList {
  readonly items: readonly CheckpointRecord[]
  readonly total_count: number
  /** The newest checkpoint of the kernel that asks. */
  readonly head: string | null
}
