/** What a gateway tells of a kernel in its model. */

import type { ExecutionState } from './activity.js'

export interface LastDeath {
  readonly at: string
  readonly signal: string | null
  readonly exit_code: number | null
  /** Why it was ended on purpose, or null. */
  readonly reason: string | null
}

/** A kernel as Jupyter's clients want to read it; of these names, they want all but the last. */
export interface KernelModel extends KernelStatus {
  readonly id: string
  readonly name: string
}

/** What can be told of a kernel at any time without asking it; names as on the wire. */
export interface KernelStatus {
  readonly execution_state: ExecutionState
  /** ISO 8601, UTC, with fraction and `Z`. */
  readonly last_activity: string
  /** Clients that are attached and count. */
  readonly connections: number
  /** Why it is dead, in a sentence. Of others it is not there, as in jupyter_server. */
  readonly reason?: string
  readonly savepoint: {
    readonly phase: string
    readonly worker: { readonly pid: number; readonly generation: number; readonly started_at: string } | null
    readonly guard: boolean
    readonly transactions: number
    readonly undo_depth: number
    readonly queue: number
    readonly memory_bytes: number | null
    readonly snapshot_bytes: number | null
    readonly last_death: LastDeath | null
  }
}
