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
import { dropWorkerComms } from './comms.js'
import { dropDebugger } from './debugger-state.js'
import { abandonForks } from './forks.js'
import { restoreLast } from './last-state.js'
import { run, waitFor, type Operation } from './operation.js'
import { command, publish } from './send.js'
import { discardLater, drop, permitAgain, type Snapshot } from './snapshots.js'
import { loseSubshells, openSubshells, subshellsAtWork } from './subshells.js'
import { cue, mint, parentOfTurn, trimInputs, type KernelState } from './state.js'
import { undoneBy } from './undone.js'

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
}

export interface SwitchReport {
  /** Time without a worker. */
  readonly ms: number
  readonly effects: readonly ExternalEffect[]
  readonly limits: readonly string[]
  /** The snapshot is there as before. */
  readonly kept: boolean
}

/** Makes `snapshot` the kernel's worker. Throws `restore_failed`. */
export function* switchTo(
  state: KernelState,
  snapshot: Snapshot,
  why: SwitchReason,
  { keep = false, keepLater = false }: SwitchWishes = {},
): Operation<SwitchReport> {
  const startedAt = state.now
  const inputs = state.inputs.filter(([count]) => count > snapshot.executionCount)
  const old = state.worker
  cue(state, 'switch')
  const debugged = dropDebugger(state, 'the kernel was rolled back')
  const lost = old ? yield* handOver(state, snapshot) : ['connections that were open when the worker died']
  const limits = [
    ...lost,
    ...snapshot.limits,
    ...(debugged ? ['the debugger, which has to be attached again'] : []),
    ...subshellsAtWork(state),
  ]
  // It may have been ended while the old worker handed over.
  if (snapshot.phase !== 'frozen') throw new SavepointError('restore_failed', 'The snapshot was ended by somebody.')
  const { token } = snapshot
  state.generation += 1
  state.worker = { generation: state.generation, token, pid: null, snapshot: snapshot.id }
  state.questions.length = 0
  state.effects.push({ do: 'wake', snapshot: snapshot.id })
  if (old?.pid) state.effects.push({ do: 'kill', pid: old.pid })
  const permit = keep ? permitAgain(state, snapshot) : undefined
  if (!keep) drop(state, snapshot)
  if (!keepLater) discardLater(state, snapshot)
  closeWorkerComms(state, snapshot.order)
  try {
    yield* waitFor<void>(`up:${token}`, state.options.limits.wakeMs)
  } catch (cause) {
    throw new SavepointError('restore_failed', 'The snapshot did not wake. The state in it is lost.', {}, { cause })
  }
  command(
    state,
    {
      kind: 'welcome',
      generation: state.generation,
      session: state.options.session,
      execution_count: state.executionCount + 1,
      woken: {
        ...why.reason,
        resume: resumes(state, snapshot),
        inputs,
        limits,
        ...(permit ? { permit } : {}),
      },
    },
    why.parts,
  )
  const undone = yield* undoneBy(state, snapshot)
  const kept = permit !== undefined && (yield* frozenAgain(state, snapshot))
  trimInputs(state)
  openSubshells(state)
  cue(state, state.turn ? 'resumed' : 'worker_up')
  if (resumes(state, snapshot)) handOverComms(state)
  return {
    ms: Math.round((state.now - startedAt) * 1000) / 1000,
    ...undone,
    limits: [...limits, ...undone.limits],
    kept,
  }
}

/** Whether the woken process froze a copy of itself, as it was told to; it does so before anything else. */
function* frozenAgain(state: KernelState, snapshot: Snapshot): Operation<boolean> {
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
  state.generation += 1
  const token = mint(state)
  state.debugging.info = null
  state.worker = { generation: state.generation, token, pid: null, snapshot: null }
  state.effects.push({ do: 'fork', token })
  closeWorkerComms(state, 0)
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
  yield* waitFor<void>(`up:${token}`, state.options.limits.wakeMs)
  command(state, {
    kind: 'welcome',
    generation: state.generation,
    session: state.options.session,
    execution_count: state.executionCount + 1,
    woken: null,
  })
  return yield* restoreLast(state)
}

/** What waited with the old worker waits here again; comms that the next one does not know are closed, or widgets would wait for answers for ever. */
function closeWorkerComms(state: KernelState, order: number): void {
  takeBack(state)
  abandonForks(state)
  state.ahead = null
  loseSubshells(state)
  for (const comm_id of dropWorkerComms(state.comms, order)) {
    publish(state, 'comm_close', parentOfTurn(state), { content: json({ comm_id, data: {} }) })
  }
}
