/**
 * One worker gives way to another under a living kernel: to a woken snapshot, or to a fresh fork.
 *
 * The old worker first hands its open pipes and sockets to the snapshot (it holds the only live ends), then the
 * snapshot is woken and the old one ended; nobody waits for its exit. A worker that died hands over nothing.
 */

import { SavepointError } from '../errors.js'
import type { ExternalEffect, RollbackReason } from '../link/protocol.js'
import { json } from '../wire/message.js'
import { handOverComms, takeBack } from './beside.js'
import { comeBack } from './comeback.js'
import { dropWorkerComms, workerComms } from './comms.js'
import { dropDebugger } from './debugger-state.js'
import { abandonForks } from './forks.js'
import { abandonPending, guardBeginsAnew } from './guard.js'
import { restoreLast } from './last-state.js'
import { asSavepointError, LeftWithoutWorker, run, waitFor, type Operation } from './operation.js'
import { command, publish } from './send.js'
import { discard, discardLater, drop, permit, permitAgain, type Snapshot, type SnapshotPhase } from './snapshots.js'
import { loseSubshells, openSubshells, subshellsAtWork } from './subshells.js'
import { askForCopy, askForEmpty, welcome } from './succession.js'
import { cue, parentOfTurn, trimInputs, type KernelState } from './state.js'
import { goBackTo } from './timeline.js'
import { hanging, transplant, type Transplanted } from './transplant.js'
import { recordedNoMore, undoneBy, type Undone } from './undone.js'

export interface SwitchReason {
  readonly reason: RollbackReason
  /** [pickled exception, pickled value] for the woken copy, or none. */
  readonly parts: readonly Buffer[]
}

export interface SwitchWishes {
  /** The moment is to stay one that the kernel can go back to. */
  readonly keep?: boolean
  /** What came later may come back, too. */
  readonly keepLater?: boolean
  /** The worker does not answer, so that nothing can be had from it. */
  readonly stuck?: boolean
}

export interface SwitchReport {
  /** Time without a worker. */
  readonly ms: number
  readonly effects: readonly ExternalEffect[]
  readonly limits: readonly string[]
  /** The snapshot is there as before. */
  readonly kept: boolean
}

/** Makes `snapshot` the kernel's worker. Throws LeftWithoutWorker, with `restore_failed`. */
export function* switchTo(
  state: KernelState,
  snapshot: Snapshot,
  why: SwitchReason,
  wishes: SwitchWishes = {},
): Operation<SwitchReport> {
  try {
    return yield* replace(state, snapshot, why, wishes)
  } catch (error) {
    throw state.phase === 'switching' ? new LeftWithoutWorker(asSavepointError(error)) : error
  }
}

function* replace(
  state: KernelState,
  snapshot: Snapshot,
  why: SwitchReason,
  { keep = false, keepLater = false, stuck = false }: SwitchWishes,
): Operation<SwitchReport> {
  const startedAt = state.now
  const inputs = state.inputs.filter(([count]) => count > snapshot.executionCount)
  const old = state.worker
  if (state.phase !== 'switching') cue(state, 'switch')
  const debugged = dropDebugger(state, 'the kernel was rolled back')
  const lost = !old
    ? ['connections that were open when the worker died']
    : stuck
      ? ['connections that the worker could not hand over']
      : yield* handOver(state, snapshot)
  const moves = snapshot.mode === 'transplant' && !resumes(state, snapshot)
  const limits = [
    // Nothing that was open comes along to another process.
    ...(moves ? [] : lost),
    ...snapshot.limits,
    ...(debugged ? ['the debugger, which has to be attached again'] : []),
    ...subshellsAtWork(state),
  ]
  // It may have been ended while the old worker handed over.
  if (snapshot.phase !== 'frozen') throw new SavepointError('restore_failed', 'The snapshot was ended by somebody.')
  if (snapshot.mode === 'transplant' && !moves) limits.push(hanging(snapshot.hangs, MID_CELL))
  const waking = { why, inputs, limits }
  // One that moves is kept until it is known that it could.
  const first = wake(state, snapshot, { ...waking, keep: keep || moves })
  if (old?.pid) state.effects.push({ do: 'kill', pid: old.pid })
  if (!keepLater) discardLater(state, snapshot)
  abandonPending(state, resumes(state, snapshot) ? snapshot.seq : null)
  closeWorkerComms(state, snapshot.comms)
  const back = (): Operation<unknown> => wakeAgain(state, snapshot, { ...waking, keep })
  let came: Undone & { readonly kept: boolean }
  let moved = NOT_MOVED
  try {
    came = yield* first
    if (moves) moved = yield* transplant(state, snapshot.hangs, back)
  } finally {
    if (!keep) discard(state, [snapshot])
  }
  trimInputs(state)
  goBackTo(state, snapshot.timeline, snapshot.executionCount)
  openSubshells(state)
  cue(state, state.turn ? 'resumed' : 'worker_up')
  if (resumes(state, snapshot)) handOverComms(state)
  return {
    ms: Math.round((state.now - startedAt) * 1000) / 1000,
    effects: came.effects,
    limits: [...limits, ...came.limits, ...moved.limits, ...(moved.moved ? recordedNoMore(state) : [])],
    kept: keep && came.kept && state.snapshots.get(snapshot.id) === snapshot,
  }
}
const NOT_MOVED: Transplanted = { moved: false, limits: [] }
const MID_CELL = 'the rest of this cell needs the process'

interface Waking {
  readonly why: SwitchReason
  readonly inputs: readonly (readonly [number, string])[]
  readonly limits: readonly string[]
  readonly keep: boolean
}

/** Asks for the copy at once; the rest, once begun, waits until it is up and has done what comes first. */
function wake(
  state: KernelState,
  snapshot: Snapshot,
  { why, inputs, limits, keep }: Waking,
): Operation<Undone & { readonly kept: boolean }> {
  const { token } = snapshot
  askForCopy(state, snapshot.id, token)
  const permit = keep ? permitAgain(state, snapshot) : undefined
  if (!keep) drop(state, snapshot)
  return comeBack()
  function* comeBack(): Operation<Undone & { readonly kept: boolean }> {
    const resume = resumes(state, snapshot)
    const undo = snapshot.recorded ? { undo: true } : {}
    const comms = workerComms(state.comms)
    const woken = { ...why.reason, resume, inputs, limits, comms, ...undo, ...(permit ? { permit } : {}) }
    try {
      yield* welcome(state, token, woken, why.parts)
    } catch (cause) {
      // It may be no fault of the snapshot's that nobody waits for it any more.
      if (state.phase === 'stopping') throw cause
      throw new SavepointError('restore_failed', 'The snapshot did not wake. The state in it is lost.', {}, { cause })
    }
    const undone = yield* undoneBy(state, snapshot)
    const kept = permit !== undefined && (yield* frozenAgain(state, snapshot))
    return { ...undone, kept }
  }
}

/** The same for a copy that was the worker before, in the place of one that did not take its variables. */
function* wakeAgain(state: KernelState, snapshot: Snapshot, waking: Waking): Operation<void> {
  if (snapshot.phase !== 'frozen') throw new SavepointError('restore_failed', 'The worker died. Its state is lost.')
  const failed = state.worker?.pid
  const again = wake(state, snapshot, waking)
  if (failed) state.effects.push({ do: 'kill', pid: failed })
  yield* again
}

/** Moves the variables of the worker, a copy in which some library would hang, to a fresh one. In a turn of its own. */
export function* moveOn(state: KernelState, libraries: readonly string[]): Operation<Transplanted> {
  const { snapshot, permit: allowed } = permit(state, { kind: 'move', name: null, block: false })
  try {
    command(state, { kind: 'snapshot', permit: allowed })
    yield* waitFor<void>(`taken:${snapshot.id}`, state.options.limits.wakeMs)
    cue(state, 'switch')
    const copy = state.worker
    const opened = new Set(state.subshells.keys())
    const waking = { why: MOVED, inputs: [], limits: [], keep: false }
    const moved = yield* transplant(
      state,
      libraries,
      () => wakeAgain(state, snapshot, waking),
      () => closeWorkerComms(state, snapshot.comms),
    )
    // Those that were asked for meanwhile nobody has opened.
    openSubshells(state, state.worker === copy ? opened : undefined)
    cue(state, 'resumed')
    return { ...moved, limits: [...moved.limits, ...(moved.moved ? recordedNoMore(state) : [])] }
  } finally {
    discard(state, [snapshot])
  }
}
const MOVED: SwitchReason = { reason: { reason: 'requested' }, parts: [] }

/** Whether the woken process froze a copy of itself, as it was told to; it does so before anything else. */
function* frozenAgain(state: KernelState, snapshot: Snapshot): Operation<boolean> {
  // It may have said so before it had undone what it was to undo.
  const { phase }: { phase: SnapshotPhase } = snapshot
  if (phase !== 'permitted') return phase === 'frozen'
  try {
    yield* waitFor<void>(`taken:${snapshot.id}`, state.options.limits.wakeMs)
    return true
  } catch (error) {
    if (state.phase === 'stopping' || state.worker === null) throw error
    drop(state, snapshot)
    return false
  }
}

/** A `with` block whose cell still runs goes on in its woken copy; the frames of any other code are left. */
export function resumes(state: KernelState, snapshot: Snapshot): boolean {
  const { turn } = state
  // One that has replied is over, even if its transaction is rolled back before clients see the reply.
  return snapshot.block && snapshot.seq === (turn?.request.seq ?? null) && turn?.atWorker !== false
}

function* handOver(state: KernelState, snapshot: Snapshot): Operation<readonly string[]> {
  command(state, { kind: 'hand_over', snapshot: snapshot.id })
  try {
    const answer = yield* waitFor<{ limits: readonly string[] }>(
      `handed_over:${snapshot.id}`,
      state.options.limits.handOverMs,
    )
    return answer.limits
  } catch (error) {
    // A kernel that is ending wakes nobody any more.
    if (state.phase === 'stopping') throw error
    return ['connections that the worker could not hand over']
  }
}

/** Asks the zygote for an empty worker; the kernel goes on when it has dialled in. */
export function forkFresh(state: KernelState, onUp: () => void, onFailure: (error: SavepointError) => void): void {
  const token = askForEmpty(state)
  guardBeginsAnew(state)
  closeWorkerComms(state, NO_COMMS)
  run(state, comeUp(state, token), (outcome) => {
    if (!outcome.ok) {
      onFailure(outcome.error)
      return
    }
    if (!outcome.value) {
      forkFresh(state, onUp, onFailure)
      return
    }
    openSubshells(state)
    cue(state, state.turn ? 'resumed' : 'worker_up')
    onUp()
  })
}

/** False: it came up, and was lost with the state that it was to restore. */
function* comeUp(state: KernelState, token: string): Operation<boolean> {
  yield* welcome(state, token, null)
  return (yield* restoreLast(state)) && (yield* comeBack(state))
}

const NO_COMMS: ReadonlySet<string> = new Set()

/** What waited with the old worker waits here again; comms that the next one does not know are closed, or widgets would wait for answers for ever. */
function closeWorkerComms(state: KernelState, known: ReadonlySet<string>): void {
  takeBack(state)
  abandonForks(state)
  state.ahead = null
  loseSubshells(state)
  for (const comm_id of dropWorkerComms(state.comms, known)) {
    publish(state, 'comm_close', parentOfTurn(state), { content: json({ comm_id, data: {} }) })
  }
}
