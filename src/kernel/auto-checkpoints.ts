/**
 * Checkpoints that nobody asks for: after each cell, at intervals, when the kernel is at rest, at its end.
 *
 * One is *due* when the policy says so and something has run since the last one. Its writer is forked between two turns,
 * never in one, and no reply waits for it. So that the fork need not wait for the store either, the place to write to is
 * got beforehand. While a writer is at work nothing is forked, and what becomes due meanwhile is one checkpoint, however
 * often it became due.
 */

import type { SavepointError } from '../errors.js'
import { abandon, beginDraft, forkWriter } from './checkpoints.js'
import type { CheckpointDraft, Head } from './effects.js'
import { emitCheckpoint } from './events.js'
import { run, waitFor, type Operation } from './operation.js'
import { log } from './send.js'
import type { KernelState, Turn } from './state.js'
import { headOf, knownHead } from './timeline.js'
import { freeWriter } from './writers.js'

export interface CheckpointPolicy {
  readonly cell: boolean
  /** null: not at intervals. */
  readonly intervalMs: number | null
  /** How long the kernel is to be at rest; null: not then. */
  readonly idleMs: number | null
  readonly shutdown: boolean
  /** Patterns of names that no checkpoint holds. */
  readonly exclude: readonly string[]
}

export const NO_POLICY: CheckpointPolicy = {
  cell: false,
  intervalMs: null,
  idleMs: null,
  shutdown: false,
  exclude: [],
}

export interface AutoCheckpoints {
  /** The note of the one that is due; null: none is. */
  due: string | null
  /** Where it may be written to, and where the kernel stood when that was got. */
  draft: { readonly place: CheckpointDraft; readonly at: Head } | null
  isPreparing: boolean
  isTicking: boolean
  isResting: boolean
  /** When the last turn ended. */
  restsSince: number
  /** None is begun for a moment: the host has something to write down for which all must be at rest. */
  isHeld: boolean
}

export function newAutoCheckpoints(): AutoCheckpoints {
  return {
    due: null,
    draft: null,
    isPreparing: false,
    isTicking: false,
    isResting: false,
    restsSince: 0,
    isHeld: false,
  }
}

export const SHUTDOWN_NOTE = 'automatic: shutdown'

/** A turn has ended. */
export function noteTurnEnd(state: KernelState, { cell }: Turn): void {
  state.auto.restsSince = state.now
  if (state.options.checkpoints.cell && cell?.stored && state.changed) {
    wish(state, `automatic: after cell ${cell.count}`)
  }
}

function wish(state: KernelState, note: string): void {
  state.auto.due = note
  prepare(state)
}

/** Gets a place to write to, unless there is one. */
function prepare(state: KernelState): void {
  const { auto } = state
  if (auto.draft !== null || auto.isPreparing || auto.isHeld || state.shutdown) return
  const { due } = auto
  auto.isPreparing = true
  run(state, place(state, due), (outcome) => {
    auto.isPreparing = false
    if (outcome.ok) {
      auto.draft = outcome.value
      return
    }
    // There is no place to write to: not again before something else is due, or the kernel has rested anew.
    if (auto.due === due) auto.due = null
    auto.restsSince = state.now
    noteFailure(state, outcome.error)
  })
}

function noteFailure(state: KernelState, { code, message }: SavepointError): void {
  if (!state.shutdown) log(state, 'warn', 'automatic_checkpoint_failed', { code, message })
}

function* place(state: KernelState, note: string | null): Operation<NonNullable<AutoCheckpoints['draft']>> {
  const at = yield* headOf(state)
  return { place: yield* beginDraft(state, { name: null, note, at }), at }
}

/** Called between two turns: forks the writer of what is due, if all is ready for it. */
export function takeMoment(state: KernelState): void {
  const { auto, writers } = state
  if (auto.due === null || auto.isHeld || state.phase !== 'idle' || state.turn !== null || !state.worker?.pid) return
  if (!state.changed) {
    auto.due = null
    dropDraft(state)
    return
  }
  // What an open transaction has done is not to be what a kernel comes back to.
  if (writers.taken || state.transactions.length > 0 || state.debugging.attached) return
  const { draft } = auto
  if (draft === null) {
    prepare(state)
    return
  }
  if (draft.at.head !== knownHead(state)?.head || draft.at.branch !== knownHead(state)?.branch) {
    dropDraft(state)
    prepare(state)
    return
  }
  const note = auto.due
  auto.due = auto.draft = null
  writers.taken = true
  run(state, write(state, draft, note), (outcome) => {
    if (outcome.ok) {
      emitCheckpoint(state, state.latestParent, outcome.value)
      return
    }
    // What became due while it was being written is still due.
    state.auto.restsSince = state.now
    noteFailure(state, outcome.error)
  })
}

function* write(
  state: KernelState,
  { place: draft, at }: NonNullable<AutoCheckpoints['draft']>,
  note: string,
): Operation<unknown> {
  const { exclude } = state.options.checkpoints
  const wished = { name: null, note, at, exclude, parent: state.latestParent, automatic: true }
  let finish: () => Operation<unknown>
  try {
    finish = (yield* forkWriter(state, draft, wished)).finish
  } catch (error) {
    freeWriter(state)
    throw error
  }
  return yield* finish()
}

/** What was got and will not be used. */
export function dropDraft(state: KernelState): void {
  const { draft } = state.auto
  state.auto.draft = null
  if (draft) abandon(state, draft.place.checkpoint_id)
}

/** Called after each event: clocks run while there is something that no checkpoint has. */
export function watchClocks(state: KernelState): void {
  const { intervalMs, idleMs } = state.options.checkpoints
  if (!state.changed || state.auto.due !== null || state.writers.taken || state.shutdown !== null) return
  if (intervalMs !== null) tick(state, intervalMs)
  if (idleMs !== null) rest(state, idleMs)
}

function tick(state: KernelState, intervalMs: number): void {
  const { auto } = state
  if (auto.isTicking) return
  auto.isTicking = true
  waitForTick(state, intervalMs)
}

/** Waits anew, in a state that was written down; false: nobody did. */
export function watchInterval(state: KernelState): boolean {
  const { intervalMs } = state.options.checkpoints
  if (intervalMs === null || !state.auto.isTicking) return false
  waitForTick(state, intervalMs)
  return true
}

function waitForTick(state: KernelState, intervalMs: number): void {
  const { auto } = state
  run(state, waitFor<void>('auto_interval', intervalMs), () => {
    auto.isTicking = false
    if (state.changed && auto.due === null && !state.shutdown) wish(state, `automatic: every ${intervalMs / 1000} s`)
  })
}

function rest(state: KernelState, idleMs: number): void {
  const { auto } = state
  if (auto.isResting || state.phase !== 'idle' || state.turn !== null) return
  auto.isResting = true
  waitForIdle(state, idleMs, Math.max(1, idleMs - (state.now - auto.restsSince)))
}

/** Waits anew, in a state that was written down; false: nobody did. */
export function watchIdle(state: KernelState): boolean {
  const { idleMs } = state.options.checkpoints
  if (idleMs === null || !state.auto.isResting) return false
  waitForIdle(state, idleMs, idleMs)
  return true
}

function waitForIdle(state: KernelState, idleMs: number, left: number): void {
  const { auto } = state
  run(state, waitFor<void>('auto_idle', left), () => {
    auto.isResting = false
    const rested = state.turn === null && state.phase === 'idle' && state.now - auto.restsSince >= idleMs
    if (rested && state.changed && auto.due === null) wish(state, 'automatic: at rest')
  })
}
