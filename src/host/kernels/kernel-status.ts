/** What a gateway tells of a kernel in its model. */

import type { KernelFacts } from '../../kernel/facts.js'
import type { Activity, ExecutionState } from './activity.js'
import type { KernelPhase } from './lifecycle.js'
import type { Memory } from './memory.js'

export interface LastDeath {
  readonly at: string
  readonly signal: string | null
  readonly exit_code: number | null
  /** What became of it, in a sentence: signal, limit with its value, want of memory, or exit code. */
  readonly reason: string
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

export interface StatusParts {
  readonly phase: KernelPhase
  /** Of its process; null: there is none. */
  readonly facts: KernelFacts | null
  /** When its worker came up, in milliseconds since the epoch. */
  readonly workerSince: number | null
  readonly activity: Activity
  readonly connections: number
  readonly reason: string | null
  /** Whether it has a guard while there is no process to ask. */
  readonly guard: boolean
  /** Requests that wait for a process. */
  readonly waiting: number
  readonly memory: Memory
  readonly lastDeath: LastDeath | null
}

export function statusOf({ phase, facts, workerSince, activity, ...rest }: StatusParts): KernelStatus {
  const since = workerSince === null ? null : new Date(workerSince).toISOString()
  return {
    execution_state: activity.executionState,
    last_activity: new Date(activity.lastActivity).toISOString(),
    connections: rest.connections,
    ...(phase === 'dead' ? { reason: rest.reason ?? 'The kernel died.' } : {}),
    savepoint: {
      phase: phase === 'ready' && facts ? facts.phase : phase,
      worker: facts?.worker && since !== null ? { ...facts.worker, started_at: since } : null,
      guard: facts?.guard ?? rest.guard,
      transactions: facts?.transactions ?? 0,
      undo_depth: facts?.undoDepth ?? 0,
      queue: (facts?.queue ?? 0) + rest.waiting,
      ...rest.memory,
      last_death: rest.lastDeath,
    },
  }
}
