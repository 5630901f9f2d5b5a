/**
 * The engine `objects`, for processes that cannot be copied: the worker itself copies what the variables hold, and puts
 * it back in place.
 *
 * So there is no other worker after a rollback, and the code that asked for it is answered: it leaves its cell, or its
 * block, by itself. What the worker has copied dies with it.
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { discardLater, drop, type Snapshot } from './snapshots.js'
import { trimInputs, type KernelState } from './state.js'
import { resumes, type SwitchReport } from './switching.js'
import { goBackTo } from './timeline.js'
import { recordNothing } from './undone.js'

type PutBack = Extract<WorkerEvent, { kind: 'put_back' }>

/** Has the worker put back what it copied. Throws `restore_failed` and `snapshot_failed`. */
export function* putBack(state: KernelState, snapshot: Snapshot, keep: boolean): Operation<SwitchReport> {
  if (!state.worker?.pid) throw gone()
  command(state, { kind: 'put_back', snapshot: snapshot.id, keep })
  const { ms, effects, limits, error } = yield* waitFor<PutBack>(
    `put_back:${snapshot.id}`,
    state.options.limits.objectsMs,
  )
  if (!keep) drop(state, snapshot)
  discardLater(state, snapshot)
  // The record that the worker keeps of what is done outside goes on otherwise: no other process takes its place.
  if (state.transactions.length === 0) recordNothing(state)
  trimInputs(state)
  goBackTo(state, snapshot.timeline, snapshot.executionCount)
  if (error !== undefined) throw new SavepointError('restore_failed', `Not all could be put back: ${error}.`)
  return { ms: Math.round(ms * 1000) / 1000, effects, limits, kept: keep }
}

/** What code in the kernel is told that asked for this rollback: how it is to go on. */
export function putBackAnswer(state: KernelState, snapshot: Snapshot, report: Told): object {
  const { transaction, effects, limits } = report
  return { put_back: true, transaction: transaction.id, resume: resumes(state, snapshot), effects, limits }
}

interface Told {
  readonly transaction: { readonly id: string }
  readonly effects: readonly object[]
  readonly limits: readonly string[]
}

function gone(): SavepointError {
  return new SavepointError('snapshot_failed', 'The copies of the variables were lost with the worker that held them.')
}
