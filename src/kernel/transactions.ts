/**
 * Open transactions: a stack of records, and the moves that are legal on it.
 *
 * A transaction is the right to go back to its begin, and to the savepoints in it. Ending an outer one ends those
 * inside it. What happens to processes when one is rolled back is `rollback`'s and `switching`'s; here is only what
 * is open, and what is then true.
 */

import { SavepointError } from '../errors.js'
import { refuseWhileDebugged } from './debugger-state.js'
import type { Client } from './effects.js'
import { command } from './send.js'
import type { SnapshotMode, SnapshotPermit } from '../link/protocol.js'
import { settle, waitFor, type Operation } from './operation.js'
import { discard, permit, takenMs, type Snapshot, type TakenOutcome } from './snapshots.js'
import { dateOf, trimInputs, type KernelState } from './state.js'
import { inShort, transactionId, type Engine, type EngineWish, type OnDisconnect, type Policy } from './terms.js'
import { recordNothing } from './undone.js'

export type TransactionState = 'opening' | 'open' | 'committed' | 'rolled_back' | 'lost'
export type EndingCue = 'commit' | 'roll_back' | 'lose'
export type TransactionCue = 'taken' | 'savepoint' | 'roll_back_to' | 'release' | EndingCue

/** Every move of every transaction, whoever asks for it and in what way. A missing entry is an illegal move. */
export const TRANSACTION_TRANSITIONS = {
  opening: { taken: 'open', commit: 'committed', roll_back: 'rolled_back', lose: 'lost' },
  open: {
    savepoint: 'open',
    roll_back_to: 'open',
    release: 'open',
    commit: 'committed',
    roll_back: 'rolled_back',
    lose: 'lost',
  },
  committed: {},
  rolled_back: {},
  lost: {},
} as const satisfies Record<TransactionState, Partial<Record<TransactionCue, TransactionState>>>

export interface Transaction {
  readonly id: string
  readonly name: string | null
  readonly policy: Policy
  /** What is really used; before it is known, what was asked for. */
  engine: Engine
  readonly depth: number
  readonly openedAt: string
  readonly openedBy: string | null
  readonly onDisconnect: OnDisconnect
  /** Whose going away is meant by that; null: nobody's. */
  readonly client: Client | null
  /** Seconds after which it is rolled back; null: never. */
  readonly timeoutS: number | null
  /** It is a `with` block of the request that was served when it was opened (null: of a task between requests). */
  readonly block: boolean
  readonly seq: number | null
  /** Id of the snapshot at its begin, and when that moment was. */
  readonly snapshot: string
  readonly order: number
  /** Oldest first; of those with the same name the last one is meant. */
  readonly savepoints: Savepoint[]
  state: TransactionState
  beginMs: number | null
  /** How its begin comes back, and why so; null: it is not known yet. */
  mode: SnapshotMode | null
  why: string | null
  reason: string | null
}

export interface Savepoint {
  readonly name: string
  readonly snapshot: string
  readonly order: number
}

/** Makes a move. Throws `internal` for an illegal one: whoever asks for a move has made sure that it is legal. */
export function move(transaction: Transaction, by: TransactionCue): void {
  const table: Partial<Record<TransactionCue, TransactionState>> = TRANSACTION_TRANSITIONS[transaction.state]
  const to = table[by]
  if (to === undefined) {
    throw new SavepointError('internal', `A transaction that is ${transaction.state} cannot take the cue '${by}'.`)
  }
  transaction.state = to
}

/** The record as clients see it. */
export function record(transaction: Transaction): Readonly<Record<string, unknown>> {
  return {
    id: transaction.id,
    name: transaction.name,
    policy: transaction.policy,
    engine: transaction.engine,
    mode: transaction.mode,
    why: transaction.why,
    state: transaction.state === 'opening' ? 'open' : transaction.state,
    depth: transaction.depth,
    savepoints: [...new Set(transaction.savepoints.map(({ name }) => name))],
    opened_at: transaction.openedAt,
    opened_by: transaction.openedBy,
    begin_ms: transaction.beginMs,
    reason: transaction.reason,
  }
}

/** The transaction that an operation means: the one with that id, else the innermost. */
export function find(state: KernelState, wanted: unknown): Transaction {
  const id = transactionId(wanted)
  if (id === null) {
    const innermost = state.transactions.at(-1)
    if (!innermost) throw new SavepointError('no_transaction', 'No transaction is open. Begin one first.')
    return innermost
  }
  const found = state.transactions.find((transaction) => transaction.id === id)
  if (!found) {
    throw new SavepointError(
      'unknown_transaction',
      'No open transaction has this id. Ask for the status to see those that are open.',
      { transaction: inShort(id) },
    )
  }
  return found
}

export interface BeginRequest {
  readonly name: string | null
  readonly policy: Policy
  readonly openedBy: string | null
  readonly engine?: EngineWish
  /** It is a `with` block: after a rollback its woken copy goes on at the `with` line. */
  readonly block: boolean
  readonly onDisconnect?: OnDisconnect
  readonly client?: Client | null
  readonly timeoutS?: number | null
}

/** Puts a new transaction on the stack and allows its snapshot; it is open once the snapshot was `taken`. */
export function open(state: KernelState, request: BeginRequest): { transaction: Transaction; permit: SnapshotPermit } {
  const { engine = 'auto' } = request
  if (engine !== 'objects') refuseWhileDebugged(state)
  const { transactionDepthMax } = state.options.limits
  if (state.transactions.length >= transactionDepthMax) {
    throw new SavepointError(
      'too_deep',
      `Transactions nest ${transactionDepthMax} deep at most. Commit or roll back first.`,
    )
  }
  const allowed = permit(state, { kind: 'begin', name: request.name, block: request.block, engine })
  state.transactionsMade += 1
  const transaction: Transaction = {
    id: `tx_${state.transactionsMade}`,
    name: request.name,
    policy: request.policy,
    engine: engine === 'objects' ? 'objects' : 'fork',
    depth: state.transactions.length + 1,
    openedAt: dateOf(state),
    openedBy: request.openedBy,
    onDisconnect: request.onDisconnect ?? 'keep',
    client: request.client ?? null,
    timeoutS: request.timeoutS ?? null,
    block: request.block,
    seq: allowed.snapshot.seq,
    snapshot: allowed.snapshot.id,
    order: allowed.snapshot.order,
    savepoints: [],
    state: 'opening',
    beginMs: null,
    mode: null,
    why: null,
    reason: null,
  }
  state.transactions.push(transaction)
  return { transaction, permit: allowed.permit }
}

/** Begins between cells: the worker freezes a copy on command. */
export function* begin(state: KernelState, request: BeginRequest): Operation<Transaction> {
  const { transaction, permit: allowed } = open(state, request)
  command(state, { kind: 'snapshot', permit: allowed })
  try {
    yield* waitFor<void>(`taken:${allowed.snapshot}`, takenMs(state, allowed))
  } catch (error) {
    close(state, transaction, 'lose', NOT_TAKEN)
    throw error
  }
  return transaction
}

/** The snapshot at a transaction's begin was frozen, or not: opens it, or ends it. */
export function beginTaken(state: KernelState, { snapshot, error }: TakenOutcome): Transaction | null {
  const transaction = state.transactions.find((each) => each.snapshot === snapshot.id)
  // An open one is frozen again when the kernel went back there, or was brought back from there.
  if (!transaction || (transaction.state !== 'opening' && !error)) return null
  if (error) {
    close(state, transaction, 'lose', NOT_TAKEN)
    return transaction
  }
  transaction.beginMs = snapshot.ms
  transaction.mode = snapshot.mode
  transaction.engine = snapshot.mode === 'objects' ? 'objects' : 'fork'
  transaction.why = snapshot.why
  move(transaction, 'taken')
  return transaction
}

const NOT_TAKEN = 'the snapshot could not be taken'

/** Keeps the state and gives up the way back, for this transaction and those inside it. */
export function commit(state: KernelState, transaction: Transaction): void {
  close(state, transaction, 'commit', null)
}

/** Marks all open transactions as lost: their snapshots went, or lead nowhere. */
export function loseAll(state: KernelState, reason: string): void {
  const outermost = state.transactions[0]
  if (outermost) close(state, outermost, 'lose', reason)
  trimInputs(state)
}

/**
 * Loses the transactions and savepoints that came after `moment`, from which the kernel goes on, and, if that was not
 * `kept`, what stood on it.
 */
export function loseSince(state: KernelState, moment: Snapshot, reason: string, kept = true): void {
  const since = (id: string): boolean => {
    if (id === moment.id) return !kept
    const snapshot = state.snapshots.get(id)
    // What was permitted is never frozen: whoever was to do it is gone.
    return snapshot !== undefined && (snapshot.order > moment.order || snapshot.phase === 'permitted')
  }
  const lost = state.transactions.find(({ snapshot }) => since(snapshot))
  if (lost) close(state, lost, 'lose', reason)
  for (const { savepoints } of state.transactions) {
    const first = savepoints.findIndex(({ snapshot }) => since(snapshot))
    if (first < 0) continue
    giveUp(
      state,
      savepoints.splice(first).map(({ snapshot }) => snapshot),
    )
  }
}

/** Ends a transaction and those inside it, and gives up their snapshots, but for one that is still needed. */
export function close(
  state: KernelState,
  transaction: Transaction,
  by: EndingCue,
  reason: string | null,
  kept: Snapshot | null = null,
): void {
  const index = state.transactions.indexOf(transaction)
  if (index < 0) return
  const ended = state.transactions.splice(index)
  // Whoever ends one tells of it; of those inside it, and of what is lost, nobody would.
  const alone = ended.filter((each) => each.state === 'open' && (each !== transaction || by === 'lose'))
  state.untold.push(...alone.toReversed())
  for (const each of ended) {
    move(each, by)
    each.reason = reason
    settle(state, lapseKey(each), null)
  }
  giveUp(
    state,
    ended.flatMap((each) => [each.snapshot, ...each.savepoints.map(({ snapshot }) => snapshot)]),
    kept,
  )
  // A worker that is rolled back takes its record with it.
  if (index === 0 && by !== 'roll_back') recordNothing(state)
  trimInputs(state)
}

/** Key of the wait for the end of a transaction's time. */
export function lapseKey({ id }: Transaction): string {
  return `lapse:${id}`
}

/**
 * The kernel goes back to the moment `order`: what was opened or set later never was. Transactions that were open then,
 * and still are, stay so.
 */
export function forgetLater(state: KernelState, order: number, reason: string): void {
  const later = state.transactions.find((each) => each.order > order)
  if (later) close(state, later, 'roll_back', reason)
  for (const { savepoints } of state.transactions) {
    const place = savepoints.findIndex((each) => each.order > order)
    if (place < 0) continue
    const forgotten = savepoints.splice(place)
    giveUp(
      state,
      forgotten.map(({ snapshot }) => snapshot),
    )
  }
}

/** Gives up snapshots by their ids, but for one. */
export function giveUp(state: KernelState, ids: readonly string[], kept: Snapshot | null = null): void {
  const there = ids.flatMap((id) => state.snapshots.get(id) ?? [])
  discard(
    state,
    there.filter((each) => each !== kept),
  )
}
