/**
 * Transactions that end without anybody's asking: their time is over, or the client that began them has gone.
 *
 * They end in a turn of their own, before whatever else waits. A cell that runs at the deadline is interrupted, since
 * nothing of it will be left; one that runs when a client goes may be somebody else's, and is let be until it ends.
 */

import type { SavepointError } from '../errors.js'
import { endWithoutWorker } from './death.js'
import type { Client } from './effects.js'
import { emitTransaction } from './events.js'
import { finishTurn } from './execution.js'
import { run, waitFor, type Operation } from './operation.js'
import { ownRequest } from './own-request.js'
import { rollback } from './rollback.js'
import { log } from './send.js'
import type { Ending, KernelState, Request, Turn } from './state.js'
import { commit, lapseKey, type Transaction } from './transactions.js'

/** Starts the clock of a transaction that has been opened. */
export function limitTransaction(state: KernelState, transaction: Transaction): void {
  const { timeoutS } = transaction
  if (timeoutS !== null) run(state, lapse(state, transaction, timeoutS), () => {})
}

/** Starts it anew, in a state that was written down; false: its time was over, or the transaction is not there. */
export function relimitTransaction(state: KernelState, key: string): boolean {
  const transaction = state.transactions.find((each) => lapseKey(each) === key)
  const ends = [...state.queue, ...(state.turn ? [state.turn.request] : [])].some(
    ({ ending }) => ending?.reason === 'timeout' && ending.transaction === transaction?.id,
  )
  if (!transaction || transaction.timeoutS === null || ends) return false
  limitTransaction(state, transaction)
  return true
}

function* lapse(state: KernelState, transaction: Transaction, timeoutS: number): Operation<void> {
  if (yield* endsWithin(transaction, timeoutS * 1000)) return
  log(state, 'info', 'transaction_timed_out', { transaction: transaction.id })
  endInTurn(state, { transaction: transaction.id, by: 'rollback', reason: 'timeout' })
  const { turn } = state
  if (!turn?.cell) return
  // In a rollback from within the cell there is nobody to interrupt for a moment.
  while (state.phase === 'switching' || !state.worker?.pid) {
    if (yield* endsWithin(transaction, state.options.limits.settleMs)) return
  }
  if (state.turn !== turn || turn.answered) return
  turn.cell.warnings.push(`The cell was interrupted at the deadline of transaction ${transaction.id}, ${timeoutS} s.`)
  state.effects.push({ do: 'interrupt_worker', pid: state.worker.pid, seq: turn.request.seq })
}

/** Whether the transaction ended before that time, or the kernel did. */
function* endsWithin(transaction: Transaction, ms: number): Operation<boolean> {
  try {
    yield* waitFor<void>(lapseKey(transaction), ms)
    return true
  } catch (error) {
    return (error as SavepointError).code !== 'timeout'
  }
}

/** A client is gone: what it began ends as it wished, from the innermost to the outermost. */
export function clientGone(state: KernelState, gone: Client): void {
  for (const transaction of state.transactions.filter((each) => isOf(each, gone)).toReversed()) {
    const by = transaction.policy === 'rollback_always' ? 'rollback' : transaction.onDisconnect
    log(state, 'info', 'transaction_left', { transaction: transaction.id, by })
    if (by !== 'keep') endInTurn(state, { transaction: transaction.id, by, reason: 'requested' })
  }
}

function isOf({ onDisconnect, client }: Transaction, gone: Client): boolean {
  const [first] = gone.routing
  return onDisconnect !== 'keep' && first !== undefined && client?.routing[0]?.equals(first) === true
}

/** What is to be said to a client whose going nobody would see, and that wishes something for that case; or null. */
export function unseenWarning(wish: Transaction['onDisconnect'], client: Client | null): string | null {
  if (wish === 'keep' || client?.leaves === true) return null
  return `Ignored on_disconnect: only the end of a WebSocket can be seen, and this did not come by one. Use timeout_s.`
}

/** As soon as nothing is at work. */
function endInTurn(state: KernelState, ending: Ending): void {
  if (state.shutdown) return
  const place = state.queue.findIndex((each) => each.ending === undefined)
  const own = ownRequest(state, `end-${ending.transaction}`, state.options.session)
  const request: Request = { ...own, ending }
  state.queue.splice(place < 0 ? state.queue.length : place, 0, request)
}

/** Its turn has come. */
export function startEnding(state: KernelState, turn: Turn, ending: Ending): void {
  const transaction = state.transactions.find(({ id }) => id === ending.transaction)
  run(state, end(state, transaction, ending), (outcome) => {
    if (!outcome.ok) log(state, 'warn', 'transaction_not_ended', { transaction: ending.transaction })
    if (transaction) emitTransaction(state, turn.request.message.headerBytes, transaction)
    finishTurn(state, turn)
    if (!outcome.ok && state.phase === 'switching') endWithoutWorker(state, outcome.error)
  })
}

function* end(state: KernelState, transaction: Transaction | undefined, { by, reason }: Ending): Operation<void> {
  // Somebody was faster.
  if (!transaction) return
  if (by === 'rollback') yield* rollback(state, transaction, { reason: { reason }, parts: [] })
  else commit(state, transaction)
}
