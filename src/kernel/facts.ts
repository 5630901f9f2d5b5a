/** What can be said of a kernel at any time without asking anybody: for lists, which must cost nothing. */

import { comesFrom } from './comeback.js'
import { undoDepth } from './guard.js'
import type { Phase } from './lifecycle.js'
import { waysBack } from './recovery.js'
import { estimatedBytes } from './snapshots.js'
import type { KernelState } from './state.js'

export interface KernelFacts {
  readonly phase: Phase
  /** The worker that has dialled in, or null. */
  readonly worker: { readonly pid: number; readonly generation: number } | null
  /** Of the worker that is, or comes next. */
  readonly generation: number
  readonly transactions: number
  /** Requests that wait for their turn, in all shells. */
  readonly queue: number
  /** Pids of frozen copies. */
  readonly frozen: readonly number[]
  /** What they alone hold, in bytes: as last measured, or what any copy comes to hold. */
  readonly heldBytes: number
  readonly guard: boolean
  /** Cells that can be undone. */
  readonly undoDepth: number
  /** A worker that dies is followed by one with its state. */
  readonly hasWayBack: boolean
  /** The checkpoint that the state of this process grew out of, or null. */
  readonly head: string | null
  /** Numbers of the cells that ran since. */
  readonly cellsSince: readonly number[]
  /** Why the worker is being ended, if it is. */
  readonly endedFor: string | null
  /** A client asked for another process in the place of this one. */
  readonly restarts: boolean
}

export function factsOf(state: KernelState): KernelFacts {
  const { worker, generation, phase, transactions, queue, subshells, snapshots, shutdown } = state
  let waiting = queue.length
  for (const each of subshells.values()) waiting += each.queue.length
  return {
    phase,
    worker: worker?.pid ? { pid: worker.pid, generation: worker.generation } : null,
    generation,
    transactions: transactions.length,
    queue: waiting,
    frozen: [...snapshots.values()].flatMap(({ pid }) => pid ?? []),
    heldBytes: estimatedBytes(state),
    guard: state.guard.phase !== 'off',
    undoDepth: undoDepth(state),
    hasWayBack: waysBack(state).length > 0,
    head: comesFrom(state),
    cellsSince: state.timeline.cells,
    endedFor: state.endedFor?.generation === generation ? state.endedFor.why : null,
    restarts: shutdown?.restart === true,
  }
}
