/** The operations on transactions, as clients and code in the kernel ask for them. */

import { SavepointError } from '../errors.js'
import type { Call, Ops } from './call.js'
import { undoDepth } from './guard.js'
import { emitTransaction } from './events.js'
import { unseenWarning } from './lapses.js'
import type { Operation } from './operation.js'
import { rollback, type RollbackReport } from './rollback.js'
import { makeSavepoint, release } from './savepoints.js'
import type { KernelState } from './state.js'
import type { SwitchReason } from './switching.js'
import { engineNamed, checkName, onDisconnectNamed, policyNamed, requiredName, timeoutOf } from './terms.js'
import { begin, commit, find, record, type BeginRequest, type Transaction } from './transactions.js'

export const TRANSACTION_OPS: Ops = {
  begin: { run: beginOp, fields: ['name', 'policy', 'engine', 'on_disconnect', 'timeout_s'] },
  savepoint: { run: savepointOp, fields: ['name', 'transaction'] },
  rollback: { run: rollbackOp, fields: ['to', 'transaction'] },
  release: { run: releaseOp, fields: ['name', 'transaction'] },
  commit: { run: commitOp, fields: ['transaction'] },
  status: { run: statusOp, fields: [] },
}

const REQUESTED: SwitchReason = { reason: { reason: 'requested' }, parts: [] }

function* beginOp(state: KernelState, call: Call): Operation<unknown> {
  const transaction = yield* begin(state, beginRequest(call, false))
  tellOf(state, call, transaction)
  return record(transaction)
}

function* savepointOp(state: KernelState, call: Call): Operation<unknown> {
  const name = requiredName(call.args['name'])
  const transaction = find(state, call.args['transaction'])
  yield* makeSavepoint(state, transaction, name)
  tellOf(state, call, transaction)
  return record(transaction)
}

function* rollbackOp(state: KernelState, call: Call): Operation<unknown> {
  const to = checkName(call.args['to'])
  const target = find(state, call.args['transaction'])
  tellOf(state, call, target)
  return resultOf(yield* rollback(state, target, REQUESTED, to))
}

// eslint-disable-next-line require-yield
export function* releaseOp(state: KernelState, call: Call): Operation<unknown> {
  const name = requiredName(call.args['name'])
  const transaction = find(state, call.args['transaction'])
  release(state, transaction, name)
  tellOf(state, call, transaction)
  return record(transaction)
}

/** Committing a transaction that was to be rolled back in any case rolls it back. */
export function* commitOp(state: KernelState, call: Call): Operation<unknown> {
  const transaction = find(state, call.args['transaction'])
  tellOf(state, call, transaction)
  if (transaction.policy === 'rollback_always') return resultOf(yield* rollback(state, transaction, REQUESTED))
  commit(state, transaction)
  return record(transaction)
}

// eslint-disable-next-line require-yield
export function* statusOp(state: KernelState): Operation<unknown> {
  return {
    transactions: state.transactions.map(record),
    undo_depth: undoDepth(state),
    redo_depth: state.guard.future.length,
  }
}

function tellOf(state: KernelState, call: Call, transaction: Transaction): void {
  call.afterwards.push(() => emitTransaction(state, call.parent, transaction))
}

/** What is asked for, checked. Throws SavepointError for what does not exist. */
export function beginRequest({ args, by, client, warnings }: Call, block: boolean): BeginRequest {
  const policy = policyNamed(args['policy'] ?? 'explicit')
  if (policy === null) {
    throw new SavepointError(
      'unknown_policy',
      'commit_always needs no transaction. Use explicit, rollback_on_failure or rollback_always.',
      { policy: 'commit_always' },
    )
  }
  const engine = engineNamed(args['engine'])
  const name = checkName(args['name'])
  const onDisconnect = onDisconnectNamed(args['on_disconnect'])
  const timeoutS = timeoutOf(args['timeout_s'])
  const warning = unseenWarning(onDisconnect, client)
  if (warning !== null) warnings.push(warning)
  return { name, policy, engine, openedBy: by, block, onDisconnect, client, timeoutS }
}

function resultOf(report: RollbackReport): object {
  const { transaction, rollback_ms, effects, limits } = report
  return { ...record(transaction), rollback_ms, effects, limits }
}
