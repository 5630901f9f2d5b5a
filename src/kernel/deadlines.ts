/**
 * A cell with a deadline: when it passes, the cell is interrupted as a client would interrupt it, and counts as failed
 * for whatever transaction it is in. Time that it waits for an answer on stdin counts as well.
 */

import type { SavepointError } from '../errors.js'
import { run, settle, waitFor, type Operation } from './operation.js'
import { wishesOf } from './policy.js'
import { interruptRestore } from './restoring.js'
import { publishText } from './send.js'
import { watchInterrupt } from './stubborn.js'
import type { Cell, KernelState, Turn } from './state.js'

/** What the reply of a cell says whose deadline has passed. */
export function deadlineWarning(timeoutS: number): string {
  return `The cell was interrupted at its deadline of ${timeoutS} s.`
}

/** Starts the clock of a cell that has begun, if it wishes for a deadline (seconds) or all cells have one. */
export function limitCell(state: KernelState, turn: Turn, cell: Cell, wishedS: number | null): void {
  const mostS = state.options.limits.cellS || Infinity
  const timeoutS = Math.min(wishedS ?? Infinity, mostS)
  if (wishedS !== null && timeoutS < wishedS) {
    cell.warnings.push(`The deadline of ${wishedS} s became one of ${mostS} s: no cell may run longer (limits.cell_s).`)
  }
  if (timeoutS < Infinity) run(state, interruptLate(state, turn, cell, timeoutS), () => {})
}

/** Starts it anew, in a state that was written down; false: its time was over, or the cell is not there. */
export function relimitCell(state: KernelState, key: string): boolean {
  const { turn } = state
  if (!turn?.cell || keyOf(turn) !== key || turn.cell.timedOut) return false
  const { timeoutS } = wishesOf(turn.request.message, turn.cell.code)
  if (timeoutS === null) return false
  limitCell(state, turn, turn.cell, timeoutS)
  return true
}

/** The cell has ended, or is about to be answered by us: its deadline counts no more. */
export function cellEnded(state: KernelState, turn: Turn): void {
  settle(state, keyOf(turn), null)
}

function* interruptLate(state: KernelState, turn: Turn, cell: Cell, timeoutS: number): Operation<void> {
  if (yield* endsWithin(turn, timeoutS * 1000)) return
  cell.timedOut = true
  cell.warnings.push(deadlineWarning(timeoutS))
  if (timeoutS === state.options.limits.cellS) {
    // Its code has not asked for that, and whoever looks at the traceback should not wonder.
    const text = `Interrupted after ${timeoutS} s: no cell may run longer in this kernel (limits.cell_s).\n`
    publishText(state, 'stderr', turn.request.message.headerBytes, text)
  }
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
