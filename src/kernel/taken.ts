/** A copy of the worker was frozen, or could not be: whoever it is for goes on. */

import type { WorkerEvent } from '../link/protocol.js'
import { emitTransaction } from './events.js'
import { forkTaken } from './forks.js'
import { limitTransaction } from './lapses.js'
import { guardTaken } from './guard.js'
import { settle } from './operation.js'
import { savepointTaken } from './savepoints.js'
import { taken } from './snapshots.js'
import { parentOfTurn, type KernelState } from './state.js'
import { beginTaken } from './transactions.js'

export function hearTaken(state: KernelState, event: Extract<WorkerEvent, { kind: 'taken' }>): void {
  if (forkTaken(state, event)) return
  const outcome = taken(state, event)
  if (!outcome) return
  const { snapshot, error } = outcome
  if (snapshot.kind === 'guard') {
    guardTaken(state, outcome)
    settle(state, `taken:${snapshot.id}`, null, error)
    return
  }
  if (snapshot.kind === 'move' || snapshot.kind === 'restore') {
    settle(state, `taken:${snapshot.id}`, null, error)
    return
  }
  const transaction = snapshot.kind === 'begin' ? beginTaken(state, outcome) : savepointTaken(state, outcome)
  if (snapshot.kind === 'begin' && transaction?.state === 'open') limitTransaction(state, transaction)
  const awaited = settle(state, `taken:${snapshot.id}`, null, error)
  // A client that asked tells of it with its answer; what code in the kernel asked for is told of here.
  if (!awaited && error === null && transaction) emitTransaction(state, parentOfTurn(state), transaction)
}
