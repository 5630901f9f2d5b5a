/**
 * Code outside Python that an interrupt does not reach.
 *
 * The signal's handler runs when Python gets to it, and a loop in C may never let it. A worker that has not noticed an
 * interrupt in time is left where it is, and the user is told; interrupted once more, or when its grace is over, it is
 * ended, and the state before its cell comes back. Only where there is a way back. Code that notices an interrupt and
 * goes on all the same has had its chance to end in order, and is not ended.
 */

import type { SavepointError } from '../errors.js'
import { transactionToRollBack, waysBack } from './recovery.js'
import { run, settle, waitFor, type Operation } from './operation.js'
import { publishText } from './send.js'
import type { KernelState, Turn } from './state.js'
import { INTERRUPT_NOTICED } from './succession.js'

/** An interrupt that the worker has not noticed. */
export interface Stubborn {
  /** The request that it was meant for. */
  readonly seq: number
  /** The user knows; the next interrupt ends the worker. */
  isTold: boolean
}

/** An interrupt was sent: looks whether it is noticed, or ends a worker that did not notice the one before. */
export function watchInterrupt(state: KernelState, turn: Turn): void {
  const { stubborn } = state
  if (stubborn?.seq === turn.request.seq) {
    if (stubborn.isTold) endWorker(state, 'code outside Python did not react to two interrupts')
    return
  }
  const wayBack = waysBack(state, turn).length > 0 || transactionToRollBack(state, turn) !== null
  // One on its way out notices nothing any more.
  if (stubborn !== null || !wayBack || turn.answered || state.phase !== 'busy') return
  state.stubborn = { seq: turn.request.seq, isTold: false }
  run(state, watch(state, turn), () => {
    state.stubborn = null
  })
}

/** The worker has noticed it, has answered the request, or is gone. */
export function interruptNoticed(state: KernelState, seq: number | null = null): void {
  if (state.stubborn !== null && (seq === null || seq === state.stubborn.seq)) settle(state, INTERRUPT_NOTICED, null)
}

function* watch(state: KernelState, turn: Turn): Operation<void> {
  const { interruptNoticeMs, interruptGraceMs } = state.options.limits
  if (yield* within(Math.min(interruptNoticeMs, interruptGraceMs))) return
  if (state.stubborn) state.stubborn.isTold = true
  const seconds = interruptGraceMs / 1000
  const parent = turn.request.message.headerBytes
  const text =
    `This code does not react to an interrupt. Interrupt again to end the Python process, or wait: that is done ` +
    `${seconds} s after the first one. The state before this cell comes back.\n`
  publishText(state, 'stderr', parent, text)
  if (yield* within(Math.max(0, interruptGraceMs - interruptNoticeMs))) return
  endWorker(state, `code outside Python did not react to an interrupt for ${seconds} s`)
}

/** Whether it was noticed within that time. */
function* within(ms: number): Operation<boolean> {
  try {
    yield* waitFor<void>(INTERRUPT_NOTICED, ms)
    return true
  } catch (error) {
    // A kernel that is stopping ends its worker in any case.
    return (error as SavepointError).code !== 'timeout'
  }
}

function endWorker(state: KernelState, why: string): void {
  const { worker } = state
  if (!worker?.pid || state.phase !== 'busy') return
  state.endedFor = { generation: worker.generation, why }
  state.effects.push({ do: 'kill', pid: worker.pid })
}
