/** Undo and redo: from the present to one of the guard's moments, and forth again. */

import { SavepointError } from '../errors.js'
import { forget, freezeNow, prune, undoDepth, type Guard, type Moment } from './guard.js'
import { waitFor, type Operation } from './operation.js'
import { drop } from './snapshots.js'
import type { KernelState } from './state.js'
import { switchTo, type SwitchReason, type SwitchReport } from './switching.js'

export interface UndoReport {
  /** Numbers of the cells that were undone, or redone, oldest first. */
  readonly cells: readonly number[]
  readonly ms: number
  readonly limits: readonly string[]
}

const REQUESTED: SwitchReason = { reason: { reason: 'requested' }, parts: [] }

/** Goes back over the last `n` steps. Throws `transaction_open`, `nothing_to_undo`, and `not_available` without guard. */
export function* undo(state: KernelState, n: number): Operation<UndoReport> {
  refuseInTransaction(state)
  const { guard } = state
  yield* presentFrozen(state)
  const depth = undoDepth(state)
  if (n > depth) throw nothing('undo', depth)
  const place = guard.past.length - 1 - n + (guard.present === 'behind' ? 1 : 0)
  const target = guard.past[place]
  if (!target) throw nothing('undo', depth)
  const undone = guard.past.slice(place + 1)
  const cells = [...undone.flatMap((moment) => moment.cells), ...guard.cells]
  const moved = { past: guard.past.slice(0, place + 1), future: [...undone, ...guard.future] }
  state.effects.push({ do: 'count', what: 'undos' })
  return { cells, ...(yield* goTo(state, target, moved)) }
}

/** Goes forth again over `n` steps that were undone. Throws `transaction_open`, `nothing_to_redo`. */
export function* redo(state: KernelState, n: number): Operation<UndoReport> {
  refuseInTransaction(state)
  const { guard } = state
  prune(state)
  const target = guard.future[n - 1]
  if (!target) throw nothing('redo', guard.future.length)
  const redone = guard.future.slice(0, n)
  const moved = { past: [...guard.past, ...redone], future: guard.future.slice(n) }
  state.effects.push({ do: 'count', what: 'redos' })
  return { cells: redone.flatMap((moment) => moment.cells), ...(yield* goTo(state, target, moved)) }
}

/** `moved`: what leads to that moment, and from it. */
function* goTo(
  state: KernelState,
  target: Moment,
  moved: Pick<Guard, 'past' | 'future'>,
): Operation<Omit<UndoReport, 'cells'>> {
  const { guard } = state
  const { past, future } = guard
  const snapshot = state.snapshots.get(target.snapshot)
  if (!snapshot) throw new SavepointError('snapshot_failed', 'The copy of that moment is gone.')
  Object.assign(guard, moved)
  let report: SwitchReport
  try {
    report = yield* switchTo(state, snapshot, REQUESTED, { keep: true, keepLater: true })
  } catch (error) {
    // Whoever looks for another way back finds the moments as they lay.
    Object.assign(guard, { past, future })
    prune(state)
    throw error
  }
  const { ms, limits, kept } = report
  guard.cells = []
  guard.failed = false
  guard.present = snapshot.live ? 'live' : 'frozen'
  if (!kept) {
    drop(state, snapshot)
    prune(state)
    guard.cells = []
  }
  return { ms, limits }
}

/** So that what is undone can be redone. In the middle of a cell that counts there is nothing to be frozen. */
function* presentFrozen(state: KernelState): Operation<void> {
  const { guard, turn } = state
  const { wakeMs } = state.options.limits
  if (turn?.cell && turn.atWorker) {
    // What such a cell does after this is never run, and it is not copied at its end.
    const own = guard.pending.filter(({ snapshot }) => state.snapshots.get(snapshot)?.seq === turn.request.seq)
    guard.cells.unshift(...own.flatMap(({ cells }) => cells))
    if (own.some(({ replaces }) => !replaces)) guard.present = 'behind'
    guard.pending = guard.pending.filter((each) => !own.includes(each))
    forget(state, own)
    return
  }
  try {
    for (let last = guard.pending.at(-1); last; last = guard.pending.at(-1)) {
      yield* waitFor<void>(`taken:${last.snapshot}`, wakeMs)
    }
    if (guard.phase !== 'on' || guard.past.length === 0) return
    if (guard.present === 'frozen' || state.debugging.attached) return
    const id = freezeNow(state)
    if (id !== null) yield* waitFor<void>(`taken:${id}`, wakeMs)
  } catch (error) {
    if (state.worker === null || state.phase === 'stopping') throw error
    // Then there is no way forth again, but there may be one back.
  }
}

function refuseInTransaction(state: KernelState): void {
  if (state.guard.phase === 'off') {
    throw new SavepointError('not_available', 'The guard is off, so that no cell can be undone. Turn it on: %guard on.')
  }
  if (state.transactions.length > 0) {
    throw new SavepointError(
      'transaction_open',
      'A transaction is open. Commit it or roll it back first; inside it, go back with its savepoints.',
    )
  }
}

function nothing(what: 'undo' | 'redo', depth: number): SavepointError {
  const many = depth === 1 ? '1 step' : `${depth} steps`
  const message =
    depth === 0 ? `There is nothing to ${what}.` : `Only ${many} can be ${what === 'undo' ? 'undone' : 'redone'}.`
  return new SavepointError(what === 'undo' ? 'nothing_to_undo' : 'nothing_to_redo', message, { depth })
}

/** Checks how many steps are meant. Throws `bad_request`. */
export function stepsOf(n: unknown): number {
  if (n === undefined || n === null) return 1
  if (typeof n === 'number' && Number.isInteger(n) && n >= 1) return n
  throw new SavepointError('bad_request', 'n must be a whole number, 1 or more.', { n })
}

/** What an undo or a redo answers. */
export function undoResult(state: KernelState, { cells, ms, limits }: UndoReport, what: 'undone' | 'redone'): object {
  return {
    undone: what === 'undone' ? cells : [],
    ...(what === 'redone' ? { redone: cells } : {}),
    undo_depth: undoDepth(state),
    redo_depth: state.guard.future.length,
    undo_ms: ms,
    limits,
  }
}

/** What a magic prints of it. */
export function undoneLine(state: KernelState, { cells, ms }: UndoReport, what: 'undo' | 'redo'): string {
  const shown = cells.length > 1 ? `cells ${cells.slice(0, -1).join(', ')} and ${cells.at(-1)}` : `cell ${cells[0]}`
  const left = what === 'undo' ? undoDepth(state) : state.guard.future.length
  const more = `${left} more can be ${what === 'undo' ? 'undone' : 'redone'}`
  return `${what === 'undo' ? 'Undid' : 'Redid'} ${cells.length === 0 ? 'a step' : shown} in ${ms.toFixed(1)} ms; ${more}.\n`
}
