/** What holds of a kernel's state after every step, whatever happens. Each function throws what does not hold. */

import type { KernelState, Line } from '../../src/kernel/state.js'

/** What its world knows of it. */
interface Known {
  /** Snapshots whose processes have ended. */
  readonly gone: ReadonlySet<string>
  readonly deadlines: ReadonlySet<string>
  readonly exit: number | null
}

/** What holds after every step. */
export function checkInvariants(state: KernelState, { gone, deadlines, exit }: Known): void {
  const { limits } = state.options
  const open = state.transactions
  for (const each of open) {
    if (each.state !== 'open' && each.state !== 'opening')
      throw new Error(`${each.id} is ${each.state} and among the open ones`)
    // While a copy becomes the worker it is known only in the end whether its moment could be kept.
    if (!state.snapshots.has(each.snapshot) && !gone.has(each.snapshot) && state.phase !== 'switching')
      throw new Error(`${each.id} has no snapshot`)
  }
  for (const [id, { kind }] of state.snapshots) {
    const { past, future, pending } = state.guard
    const wanted =
      (kind === 'move' && state.turn?.request.moves === true) ||
      (kind === 'restore' && state.restoring?.wayBack?.id === id) ||
      [...past, ...future, ...pending].some(({ snapshot }) => snapshot === id) ||
      open.some(({ snapshot, savepoints }) => [snapshot, ...savepoints.map((s) => s.snapshot)].includes(id))
    // The one that is about to be woken belongs to nobody any more.
    if (!wanted && state.phase !== 'switching' && state.phase !== 'stopping' && state.phase !== 'dead')
      throw new Error(`${id} belongs to no open transaction`)
  }
  for (const key of state.waiters.keys())
    if (!deadlines.has(key)) throw new Error(`${key} is waited for without a deadline`)
  const asked = state.queue.filter(({ ending }) => ending === undefined)
  if (asked.length + state.beside.size > limits.queueLengthMax) throw new Error('the queue is too long')
  if (open.length > limits.transactionDepthMax) throw new Error('transactions nest too deep')
  if (state.snapshots.size > limits.snapshotsMax) throw new Error('too many snapshots are held')
  if (state.parents.size > limits.parentsMax) throw new Error('too many headers are kept')
  const { guard } = state
  if (guard.phase === 'off' && guard.past.length + guard.future.length + guard.pending.length > 0)
    throw new Error('a guard that is off keeps moments')
  if (guard.past.length + guard.future.length > limits.guardMomentsMax) throw new Error('too many moments are kept')
  if (state.snapshots.size === 0 && state.inputs.length > 0 && (state.phase === 'idle' || state.phase === 'busy'))
    throw new Error('texts of cells are kept for nobody')
  if (state.phase === 'idle' && (state.turn !== null || (state.queue.length > 0 && state.beside.size === 0)))
    throw new Error('it is idle, and there is work')
  for (const line of [state, ...state.subshells.values()]) checkLine(line)
  for (const { id, queue, turn, beside, deleted } of state.subshells.values()) {
    const works = state.phase === 'idle' || state.phase === 'busy'
    if (works && turn === null && queue.length > 0 && beside.size === 0) throw new Error(`${id} rests, and has work`)
    if (deleted && turn === null) throw new Error(`${id} was deleted and is still there`)
    if (queue.length + beside.size > limits.queueLengthMax) throw new Error(`the queue of ${id} is too long`)
  }
  if (state.phase === 'busy' && state.turn === null) throw new Error('it is busy with nothing')
  if (state.phase === 'dead' && exit === null) throw new Error('it is dead and has not ended')
}

function checkLine({ queue, beside }: Line): void {
  for (const [seq, { request }] of beside) {
    if (seq !== request.seq || queue.includes(request)) throw new Error(`${seq} is in two places`)
  }
  // What ends by itself goes before all that waits.
  const asked = queue.filter(({ ending }) => ending === undefined)
  if (asked.some((each, i) => i > 0 && each.seq <= (asked[i - 1]?.seq ?? 0))) throw new Error('a queue is out of order')
}
