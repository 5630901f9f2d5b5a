/**
 * Savepoints: named moments inside a transaction that it can go back to without ending.
 *
 * Of two with the same name the later one is meant, until it is released, as in SQL.
 * Docs: https://www.postgresql.org/docs/current/sql-savepoint.html
 */

import { SavepointError } from '../errors.js'
import type { SnapshotPermit } from '../link/protocol.js'
import { refuseWhileDebugged } from './debugger-state.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { permit, takenMs, type TakenOutcome } from './snapshots.js'
import type { KernelState } from './state.js'
import { giveUp, move, type Transaction } from './transactions.js'

/**
 * Notes a savepoint and allows its snapshot. In a `with` block whose request is being served, code goes on there when
 * one comes back to it. Throws `snapshot_refused`, `engine_unavailable`, and what a debugger forbids.
 */
export function setSavepoint(state: KernelState, transaction: Transaction, name: string): SnapshotPermit {
  const objects = transaction.engine === 'objects'
  if (!objects) refuseWhileDebugged(state)
  const block = transaction.block && transaction.seq === (state.turn?.request.seq ?? null)
  if (block && objects) {
    throw new SavepointError(
      'engine_unavailable',
      "Nobody can come back into running code without a fork. Use the engine 'fork' for savepoints in a block.",
      { engine: 'objects' },
    )
  }
  const engine = objects ? 'objects' : 'auto'
  const { snapshot, permit: allowed } = permit(state, {
    kind: 'savepoint',
    name,
    block,
    engine: block ? 'fork' : engine,
  })
  move(transaction, 'savepoint')
  transaction.savepoints.push({ name, snapshot: snapshot.id, order: snapshot.order })
  return allowed
}

/** Between cells: the worker freezes a copy on command. */
export function* makeSavepoint(state: KernelState, transaction: Transaction, name: string): Operation<void> {
  const allowed = setSavepoint(state, transaction, name)
  command(state, { kind: 'snapshot', permit: allowed })
  try {
    yield* waitFor<void>(`taken:${allowed.snapshot}`, takenMs(state, allowed))
  } catch (error) {
    removeSavepoint(state, allowed.snapshot)
    throw error
  }
}

/** A savepoint's snapshot was frozen, or not: then there is no such savepoint. */
export function savepointTaken(state: KernelState, { snapshot, error }: TakenOutcome): Transaction | null {
  if (error) return removeSavepoint(state, snapshot.id)
  return holderOf(state, snapshot.id)
}

/** Takes the savepoint of that snapshot out of its transaction, which is returned. */
export function removeSavepoint(state: KernelState, snapshot: string): Transaction | null {
  const transaction = holderOf(state, snapshot)
  const place = transaction?.savepoints.findIndex((each) => each.snapshot === snapshot) ?? -1
  transaction?.savepoints.splice(place, 1)
  giveUp(state, [snapshot])
  return transaction
}

function holderOf(state: KernelState, snapshot: string): Transaction | null {
  return state.transactions.find(({ savepoints }) => savepoints.some((each) => each.snapshot === snapshot)) ?? null
}

/** Forgets the savepoint and those set after it in its transaction; the state stays. Throws `unknown_savepoint`. */
export function release(state: KernelState, transaction: Transaction, name: string): void {
  const place = placeOf(transaction, name)
  move(transaction, 'release')
  const forgotten = transaction.savepoints.splice(place)
  giveUp(
    state,
    forgotten.map(({ snapshot }) => snapshot),
  )
}

/** Where the savepoint of that name stands in its transaction. Throws `unknown_savepoint`. */
export function placeOf(transaction: Transaction, name: string): number {
  const place = transaction.savepoints.findLastIndex((each) => each.name === name)
  if (place >= 0) return place
  const known = transaction.savepoints.map((each) => `'${each.name}'`).join(', ')
  throw new SavepointError(
    'unknown_savepoint',
    `The transaction has no savepoint '${name}'. ${known ? `It has ${known}.` : 'It has none.'}`,
    { savepoint: name },
  )
}
