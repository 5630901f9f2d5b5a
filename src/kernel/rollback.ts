/** Going back: to the begin of a transaction, which ends it, or to a savepoint, which keeps it open. */

import { SavepointError } from '../errors.js'
import type { ExternalEffect } from '../link/protocol.js'
import { guardRolledBack } from './guard.js'
import { putBack } from './objects-engine.js'
import type { Operation } from './operation.js'
import { drop, isProcess, type Snapshot } from './snapshots.js'
import type { KernelState } from './state.js'
import { placeOf, removeSavepoint } from './savepoints.js'
import { switchTo, type SwitchReason, type SwitchReport, type SwitchWishes } from './switching.js'
import { close, forgetLater, move, type Transaction } from './transactions.js'
import { undoneWords } from './undone.js'

export interface RollbackReport {
  readonly transaction: Transaction
  /** Of the savepoint; null: the begin. */
  readonly to: string | null
  readonly snapshot: Snapshot
  readonly rollback_ms: number
  readonly effects: readonly ExternalEffect[]
  readonly limits: readonly string[]
}

/**
 * Goes back to where the transaction began, and ends it and those inside it; or `to` a savepoint of it, and ends only
 * what was begun later. Throws `unknown_savepoint`, and `snapshot_failed` if the way back is gone.
 */
export function* rollback(
  state: KernelState,
  transaction: Transaction,
  why: SwitchReason,
  to: string | null = null,
): Operation<RollbackReport> {
  return to === null ? yield* toBegin(state, transaction, why) : yield* toSavepoint(state, transaction, why, to)
}

function* toBegin(state: KernelState, transaction: Transaction, why: SwitchReason): Operation<RollbackReport> {
  const snapshot = state.snapshots.get(transaction.snapshot)
  if (snapshot?.phase !== 'frozen') {
    close(state, transaction, 'lose', 'its snapshot is gone')
    throw new SavepointError(
      'snapshot_failed',
      'The snapshot of this transaction is gone. Its state cannot be brought back.',
    )
  }
  close(state, transaction, 'roll_back', why.reason.reason, snapshot)
  forgetLater(state, snapshot.order, why.reason.reason)
  const { ms, effects, limits } = yield* goTo(state, snapshot, why)
  guardRolledBack(state, snapshot)
  return { transaction, to: null, snapshot, rollback_ms: ms, effects, limits }
}

function* toSavepoint(
  state: KernelState,
  transaction: Transaction,
  why: SwitchReason,
  to: string,
): Operation<RollbackReport> {
  const place = placeOf(transaction, to)
  const id = transaction.savepoints[place]?.snapshot ?? ''
  const snapshot = state.snapshots.get(id)
  if (snapshot?.phase !== 'frozen') {
    removeSavepoint(state, id)
    throw new SavepointError('snapshot_failed', `The snapshot of the savepoint '${to}' is gone. Roll back to another.`)
  }
  move(transaction, 'roll_back_to')
  forgetLater(state, snapshot.order, why.reason.reason)
  const { ms, effects, limits, kept } = yield* goTo(state, snapshot, why, { keep: true })
  guardRolledBack(state, snapshot)
  if (!kept) {
    drop(state, snapshot)
    removeSavepoint(state, id)
  }
  const lost = kept ? [] : [`the savepoint '${to}', which could not be taken again`]
  return { transaction, to, snapshot, rollback_ms: ms, effects, limits: [...limits, ...lost] }
}

/** A copy of the process takes the worker's place; one of the variables is put back by the worker. */
function* goTo(
  state: KernelState,
  snapshot: Snapshot,
  why: SwitchReason,
  wishes: SwitchWishes = {},
): Operation<SwitchReport> {
  const { keep = false } = wishes
  return isProcess(snapshot) ? yield* switchTo(state, snapshot, why, wishes) : yield* putBack(state, snapshot, keep)
}

/** What a magic prints of a rollback. */
export function rolledBackLine({ transaction, to, rollback_ms, effects }: RollbackReport): string {
  const name = to ?? transaction.name
  const what = name === null ? 'Rolled back' : `Rolled back ${to === null ? '' : 'to '}'${name}'`
  return `${what} in ${rollback_ms.toFixed(1)} ms${undoneWords(effects)}.\n`
}
