/** The operations on the guard's moments, as clients and code in the kernel ask for them. */

import { SavepointError } from '../errors.js'
import type { Call, Ops } from './call.js'
import { prune, setGuard, undoDepth } from './guard.js'
import type { Operation } from './operation.js'
import { weigh } from './pressure.js'
import { discard, type Snapshot } from './snapshots.js'
import type { KernelState } from './state.js'
import { redo, stepsOf, undo, undoResult } from './undo.js'

export const GUARD_OPS: Ops = {
  undo: { run: undoOp, fields: ['n'] },
  redo: { run: redoOp, fields: ['n'] },
  snapshots: { run: snapshotsOp, fields: [] },
  discard: { run: discardOp, fields: ['snapshot'] },
  guard: { run: guardOp, fields: ['on'] },
}

function* undoOp(state: KernelState, call: Call): Operation<unknown> {
  return undoResult(state, yield* undo(state, stepsOf(call.args['n'])), 'undone')
}

function* redoOp(state: KernelState, call: Call): Operation<unknown> {
  return undoResult(state, yield* redo(state, stepsOf(call.args['n'])), 'redone')
}

export function* snapshotsOp(state: KernelState): Operation<unknown> {
  yield* weigh(state)
  const frozen = [...state.snapshots.values()].filter(({ phase }) => phase === 'frozen')
  const items = frozen.toSorted((one, other) => one.order - other.order).map(snapshotRecord)
  return { items, total_count: items.length, budget_bytes: state.options.limits.snapshotBytesMax }
}

function snapshotRecord({ id, kind, name, executionCount, createdAt, privateBytes }: Snapshot): object {
  return {
    id,
    kind,
    name,
    execution_count: executionCount,
    created_at: createdAt,
    private_bytes: privateBytes,
  }
}

/** Gives up one of the guard's copies; that of a transaction goes with the transaction. */
// eslint-disable-next-line require-yield
export function* discardOp(state: KernelState, call: Call): Operation<unknown> {
  const id = call.args['snapshot']
  const snapshot = typeof id === 'string' ? state.snapshots.get(id) : undefined
  if (!snapshot) {
    throw new SavepointError('unknown_snapshot', 'There is no such snapshot. Ask for the list of those there are.', {
      snapshot: id,
    })
  }
  if (snapshot.kind !== 'guard') {
    throw new SavepointError(
      'transaction_open',
      'This snapshot is the way back of an open transaction. Commit the transaction, or release its savepoint.',
      { snapshot: id },
    )
  }
  discard(state, [snapshot])
  prune(state)
  return { discarded: id }
}

/** Turns the guard on or off, or only tells. */
// eslint-disable-next-line require-yield
export function* guardOp(state: KernelState, call: Call): Operation<unknown> {
  const on = call.args['on'] ?? null
  if (on !== null && typeof on !== 'boolean') {
    throw new SavepointError('bad_request', 'on must be true or false.', { on })
  }
  if (on !== null && on !== (state.guard.phase !== 'off')) setGuard(state, on)
  const { guard } = state
  return { guard: guard.phase !== 'off', undo_depth: undoDepth(state), redo_depth: guard.future.length }
}
