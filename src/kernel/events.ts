/** Events to every open comm of a target: what any client did, told to all. Nothing is sent while no such comm is open. */

import { json } from '../wire/message.js'
import { CHECKPOINT_TARGET, openOf, TRANSACTION_TARGET } from './comms.js'
import type { Recovery } from './reply-metadata.js'
import { publish } from './send.js'
import type { KernelState } from './state.js'
import { record, type Transaction } from './transactions.js'

export function emitTransaction(state: KernelState, parentBytes: Buffer, transaction: Transaction): void {
  const place = state.untold.indexOf(transaction)
  if (place >= 0) state.untold.splice(place, 1)
  emit(state, TRANSACTION_TARGET, parentBytes, { event: 'transaction', transaction: record(transaction) })
}

/** Tells of transactions that ended with another one, or were lost. */
export function emitEnded(state: KernelState, parentBytes: Buffer): void {
  for (const each of [...state.untold]) emitTransaction(state, parentBytes, each)
}

export function emitCheckpoint(state: KernelState, parentBytes: Buffer, checkpoint: unknown): void {
  emit(state, CHECKPOINT_TARGET, parentBytes, { event: 'checkpoint', checkpoint })
}

export function emitRecovery(state: KernelState, parentBytes: Buffer, recovery: Recovery): void {
  for (const target of [TRANSACTION_TARGET, CHECKPOINT_TARGET]) {
    emit(state, target, parentBytes, { event: 'recovery', recovery })
  }
}

function emit(state: KernelState, target: string, parentBytes: Buffer, data: object): void {
  for (const comm_id of openOf(state.comms, target)) {
    publish(state, 'comm_msg', parentBytes, { content: json({ comm_id, data }) })
  }
}
