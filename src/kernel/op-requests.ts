/**
 * Ops that are asked for without a message, as by a gateway's routes: transactions and checkpoints have one table of
 * operations whatever the way in (see `ops`).
 *
 * Such an op has its turn like a request on shell, with a busy and an idle of its own, so that nobody takes the kernel
 * for idle meanwhile; its answer goes to whoever asked. Open comms of its target are told as ever.
 */

import { SavepointError } from '../errors.js'
import { CHECKPOINT_TARGET } from './comms.js'
import type { KernelEvent } from './effects.js'
import { run, settle, waitFor } from './operation.js'
import { cancelAtOnce, serveOp } from './ops.js'
import { ownRequest } from './own-request.js'
import { isFull } from './requests.js'
import { queueFull } from './answers.js'
import type { KernelState, OpRequest, Request, Turn } from './state.js'

type OpEvent = Extract<KernelEvent, { on: 'op' }>

/** Puts an op into the queue, until its turn comes or it has waited for too long. */
export function receiveOp(state: KernelState, event: OpEvent): void {
  const { id, waitMs } = event
  if (event.target === CHECKPOINT_TARGET && event.data['op'] === 'cancel') {
    cancelAtOnce(state, event.data, (outcome) => state.effects.push({ do: 'answer', id, outcome }))
    return
  }
  if (state.shutdown) {
    refuse(state, id, new SavepointError('kernel_restarting', 'The kernel is shutting down. Ask the one that follows.'))
    return
  }
  if (isFull(state)) {
    refuse(state, id, queueFull())
    return
  }
  const { target, data, by } = event
  const request: Request = { ...ownRequest(state, id, by, { data }), op: { id, target, data } }
  state.queue.push(request)
  bePatient(state, request, id, waitMs)
}

/** Waits anew, in a state that was written down; false: nobody did. */
export function repatient(state: KernelState, key: string): boolean {
  const request = state.queue.find(({ op }) => op && keyOf(op.id) === key)
  if (request?.op) bePatient(state, request, request.op.id, 0)
  return request !== undefined
}

function bePatient(state: KernelState, request: Request, id: string, waitMs: number): void {
  run(state, waitFor(keyOf(id), waitMs), (outcome) => {
    const place = state.queue.indexOf(request)
    if (place < 0) return
    state.queue.splice(place, 1)
    if (outcome.ok) refuse(state, id, new SavepointError('cancelled', 'This was taken back before it began.'))
    else refuse(state, id, outcome.error.code === 'timeout' ? tooBusy() : outcome.error)
  })
}

function tooBusy(): SavepointError {
  return new SavepointError(
    'kernel_busy',
    'The kernel was busy for as long as this was to wait. Nothing was done. Ask again, or wait longer.',
  )
}

/** Takes back an op that has not begun. */
export function withdrawOp(state: KernelState, id: string): void {
  settle(state, keyOf(id), null)
}

/** Its turn has come. */
export function startOp(state: KernelState, turn: Turn, op: OpRequest): void {
  // In the queue no more: whoever is patient for it has nothing left to do.
  settle(state, keyOf(op.id), null)
  serveOp(state, turn, op)
}

function keyOf(id: string): string {
  return `op ${id}`
}

function refuse(state: KernelState, id: string, { code, message, details }: SavepointError): void {
  state.effects.push({ do: 'answer', id, outcome: { ok: false, error: { code, message, details } } })
}
