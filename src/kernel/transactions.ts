/**
 * Open transactions: a stack of records, and the moves that are legal on it.
 *
 * A transaction is the right to go back to one snapshot. Ending an outer one ends those inside it. What happens to
 * processes when one is rolled back is `switching`'s; here is only what a client may say, and what is then true.
 */

import { SavepointError } from '../errors.js'
import { refuseWhileDebugged } from './debugger-state.js'
import { command } from './send.js'
import type { SnapshotPermit, WorkerEvent } from '../link/protocol.js'
import { waitFor, type Operation } from './operation.js'
import { dateOf, mint, trimInputs, type KernelState, type Snapshot } from './state.js'
import { switchTo, type SwitchReason } from './switching.js'

export type TransactionState = 'opening' | 'open' | 'committed' | 'rolled_back' | 'lost'

export interface Transaction {
  readonly id: string
  readonly name: string | null
  readonly policy: Policy
  readonly engine: 'fork'
  readonly depth: number
  readonly openedAt: string
  readonly openedBy: string | null
  readonly snapshot: string
  state: TransactionState
  beginMs: number | null
  reason: string | null
}

/** What becomes of a transaction when the code in it ends. `commit_on_success` and `dry_run` are other names. */
export type Policy = 'rollback_on_failure' | 'rollback_always' | 'explicit'
const POLICIES: Readonly<Record<string, Policy | null>> = {
  commit_always: null,
  commit_on_success: 'rollback_on_failure',
  rollback_on_failure: 'rollback_on_failure',
  rollback_always: 'rollback_always',
  dry_run: 'rollback_always',
  explicit: 'explicit',
}

/** The policy of that name, null for `commit_always` (which needs no transaction). Throws `unknown_policy`. */
export function policyNamed(name: unknown): Policy | null {
  const policy = typeof name === 'string' && Object.hasOwn(POLICIES, name) ? POLICIES[name] : undefined
  if (policy === undefined) {
    const known = Object.keys(POLICIES).join(', ')
    throw new SavepointError('unknown_policy', `There is no policy ${JSON.stringify(name)}. Use one of ${known}.`, {
      policy: name,
    })
  }
  return policy
}

/** Checks the engine that was asked for. Throws `unknown_engine` or `engine_unavailable`. */
export function checkEngine(name: unknown): void {
  if (name === 'auto' || name === 'fork') return
  if (name === 'objects') {
    throw new SavepointError('engine_unavailable', "The engine 'objects' is not available here. Use 'auto' or 'fork'.")
  }
  throw new SavepointError('unknown_engine', `There is no engine ${JSON.stringify(name)}. Use 'auto' or 'fork'.`, {
    engine: name,
  })
}

/** Checks a name that a client gives: null, or 1 to 200 characters without `/` and control characters. */
export function checkName(name: unknown): string | null {
  if (name === null || name === undefined) return null
  // eslint-disable-next-line no-control-regex
  if (typeof name === 'string' && name.length >= 1 && name.length <= 200 && !/[/\u0000-\u001f\u007f]/.test(name))
    return name
  throw new SavepointError(
    'name_invalid',
    'A name has 1 to 200 characters, no slash and no control characters. Choose another one.',
  )
}

/** The record as clients see it. */
export function record(transaction: Transaction): Readonly<Record<string, unknown>> {
  return {
    id: transaction.id,
    name: transaction.name,
    policy: transaction.policy,
    engine: transaction.engine,
    state: transaction.state === 'opening' ? 'open' : transaction.state,
    depth: transaction.depth,
    savepoints: [],
    opened_at: transaction.openedAt,
    opened_by: transaction.openedBy,
    begin_ms: transaction.beginMs,
    reason: transaction.reason,
  }
}

/** The transaction that an operation means: the one with that id, else the innermost. */
export function find(state: KernelState, id: unknown): Transaction {
  if (id === null || id === undefined) {
    const innermost = state.transactions.at(-1)
    if (!innermost) throw new SavepointError('no_transaction', 'No transaction is open. Begin one first.')
    return innermost
  }
  const found = state.transactions.find((transaction) => transaction.id === id)
  if (!found) {
    throw new SavepointError(
      'unknown_transaction',
      'No open transaction has this id. Ask for the status to see those that are open.',
      {
        transaction: id,
      },
    )
  }
  return found
}

export interface BeginRequest {
  readonly name: string | null
  readonly policy: Policy
  readonly openedBy: string | null
  /** It is a `with` block: after a rollback its woken copy goes on at the `with` line. */
  readonly block: boolean
}

/** Puts a new transaction on the stack and allows its snapshot; it is open once the snapshot was `taken`. */
export function open(state: KernelState, request: BeginRequest): { transaction: Transaction; permit: SnapshotPermit } {
  refuseWhileDebugged(state)
  const { transactionDepthMax, snapshotsMax } = state.options.limits
  if (state.transactions.length >= transactionDepthMax) {
    throw new SavepointError(
      'too_deep',
      `Transactions nest ${transactionDepthMax} deep at most. Commit or roll back first.`,
    )
  }
  if (state.snapshots.size >= snapshotsMax) {
    throw new SavepointError(
      'snapshot_refused',
      `This kernel holds ${snapshotsMax} snapshots, its budget. End a transaction first.`,
    )
  }
  state.snapshotsMade += 1
  state.transactionsMade += 1
  const snapshot: Snapshot = {
    id: `sn_${state.snapshotsMade}`,
    token: mint(state),
    order: state.snapshotsMade,
    seq: state.turn?.request.seq ?? null,
    block: request.block,
    executionCount: state.executionCount,
    pid: null,
  }
  state.snapshots.set(snapshot.id, snapshot)
  const transaction: Transaction = {
    id: `tx_${state.transactionsMade}`,
    name: request.name,
    policy: request.policy,
    engine: 'fork',
    depth: state.transactions.length + 1,
    openedAt: dateOf(state),
    openedBy: request.openedBy,
    snapshot: snapshot.id,
    state: 'opening',
    beginMs: null,
    reason: null,
  }
  state.transactions.push(transaction)
  return { transaction, permit: { snapshot: snapshot.id, token: snapshot.token } }
}

/** Begins between cells: the worker freezes a copy on command. */
export function* begin(state: KernelState, request: BeginRequest): Operation<Transaction> {
  const { transaction, permit } = open(state, request)
  command(state, { kind: 'snapshot', permit })
  try {
    yield* waitFor<void>(`opened:${transaction.id}`, state.options.limits.wakeMs)
  } catch (error) {
    close(state, transaction, 'lost', 'the snapshot could not be taken')
    trimInputs(state)
    throw error
  }
  return transaction
}

type Taken = Extract<WorkerEvent, { kind: 'taken' }>

/** A snapshot was frozen, or not: opens the transaction that wanted it, or ends it. */
export function taken(
  state: KernelState,
  event: Taken,
): { transaction: Transaction; error: SavepointError | null } | null {
  const snapshot = state.snapshots.get(event.snapshot)
  const transaction = state.transactions.find((each) => each.snapshot === event.snapshot)
  if (!snapshot || !transaction) {
    // It was frozen after we had given up waiting for it; nobody will ever wake it.
    if (event.error === undefined) state.effects.push({ do: 'discard', snapshots: [event.snapshot] })
    return null
  }
  if (event.error !== undefined) {
    const error = new SavepointError(
      'snapshot_failed',
      `The process could not be copied: ${event.error}. Free memory or processes, then try again.`,
    )
    state.snapshots.delete(snapshot.id)
    close(state, transaction, 'lost', 'the snapshot could not be taken')
    trimInputs(state)
    return { transaction, error }
  }
  snapshot.pid = event.pid
  transaction.beginMs = event.ms
  transaction.state = 'open'
  return { transaction, error: null }
}

/** Keeps the state and gives up the way back, for this transaction and those inside it. */
export function commit(state: KernelState, transaction: Transaction): void {
  close(state, transaction, 'committed', null)
  trimInputs(state)
}

/** Goes back to where the transaction began, and ends it and those inside it. */
export function* rollback(state: KernelState, transaction: Transaction, why: SwitchReason): Operation<RollbackReport> {
  const snapshot = state.snapshots.get(transaction.snapshot)
  if (!snapshot) {
    close(state, transaction, 'lost', 'its snapshot is gone')
    trimInputs(state)
    throw new SavepointError(
      'snapshot_failed',
      'The snapshot of this transaction is gone. Its state cannot be brought back.',
    )
  }
  state.snapshots.delete(snapshot.id)
  close(state, transaction, 'rolled_back', why.reason.reason)
  const { ms, limits } = yield* switchTo(state, snapshot, why)
  return { transaction, snapshot, rollback_ms: ms, effects: [], limits }
}

export interface RollbackReport {
  readonly transaction: Transaction
  readonly snapshot: Snapshot
  readonly rollback_ms: number
  readonly effects: readonly object[]
  readonly limits: readonly string[]
}

/** What a magic prints of a rollback. */
export function rolledBackLine({ transaction, rollback_ms }: RollbackReport): string {
  const what = transaction.name === null ? 'Rolled back' : `Rolled back '${transaction.name}'`
  return `${what} in ${rollback_ms.toFixed(1)} ms.\n`
}

/** Marks all open transactions as lost: their snapshots went, or lead nowhere. */
export function loseAll(state: KernelState, reason: string): void {
  const outermost = state.transactions[0]
  if (outermost) close(state, outermost, 'lost', reason)
  trimInputs(state)
}

function close(state: KernelState, transaction: Transaction, to: TransactionState, reason: string | null): void {
  const index = state.transactions.indexOf(transaction)
  if (index < 0) return
  const ended = state.transactions.splice(index)
  const discarded: string[] = []
  for (const each of ended) {
    each.state = to
    each.reason = reason
    if (state.snapshots.delete(each.snapshot)) discarded.push(each.snapshot)
  }
  if (discarded.length > 0) state.effects.push({ do: 'discard', snapshots: discarded })
}
