/**
 * A cell with a deadline: when it passes, the cell is interrupted as a client would interrupt it, and counts as failed
 * for whatever transaction it is in. Time that it waits for an answer on stdin counts as well.
 */

import type { SavepointError } from '../errors.js'
import { run, settle, waitFor, type Operation } from './operation.js'
import { interruptRestore } from './restoring.js'
import { watchInterrupt } from './stubborn.js'
import type { Cell, KernelState, Turn } from './state.js'

/** What the reply of a cell says whose deadline has passed. */
export function deadlineWarning(timeoutS: number): string {
  return `The cell was interrupted at its deadline of ${timeoutS} s.`
}

/** Starts the clock of a cell that has begun. */
export function limitCell(state: KernelState, turn: Turn, cell: Cell, timeoutS: number): void {
  run(state, interruptLate(state, turn, cell, timeoutS), () => {})
}

/** The cell has ended, or is about to be answered by us: its deadline counts no more. */
export function cellEnded(state: KernelState, turn: Turn): void {
  settle(state, keyOf(turn), null)
}

function* interruptLate(state: KernelState, turn: Turn, cell: Cell, timeoutS: number): Operation<void> {
  if (yield* endsWithin(turn, timeoutS * 1000)) return
  cell.timedOut = true
  cell.warnings.push(deadlineWarning(timeoutS))
  if (interruptRestore(state)) return
  // In a rollback from within the cell there is nobody to interrupt for a moment.
  while (state.phase === 'switching' || !state.worker?.pid) {
    if (yield* endsWithin(turn, state.options.limits.settleMs)) return
  }
  state.effects.push({ do: 'interrupt_worker', pid: state.worker.pid, seq: turn.request.seq })
  watchInterrupt(state, turn)
}

/** Whether the cell ended before that time, or the kernel did. */
function* endsWithin(turn: Turn, ms: number): Operation<boolean> {
  try {
    yield* waitFor<void>(keyOf(turn), ms)
    return true
  } catch (error) {
    return (error as SavepointError).code !== 'timeout'
  }
}

function keyOf(turn: Turn): string {
  return `cell:${turn.request.seq}`
}
