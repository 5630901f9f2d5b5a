/**
 * Restoring a checkpoint: into the worker's namespace, with a way back.
 *
 * Loading runs code of the objects that are loaded. So the worker first freezes a copy of itself, and the kernel goes
 * back to that if the load fails, ends the process, does not end in time, or is interrupted. Before anything is loaded
 * the store has verified what it is: nothing is unpickled that we did not write.
 */

import { SavepointError, type ErrorCode } from '../errors.js'
import type { LostObject, WorkerEvent } from '../link/protocol.js'
import { isNames, refuseWithoutWorker, store } from './checkpoints.js'
import type { OpenCheckpoint } from './effects.js'
import { guardRolledBack, noteStep } from './guard.js'
import { LeftWithoutWorker, settle, waitFor, type Operation } from './operation.js'
import { command, log } from './send.js'
import { discard, permit, type Snapshot } from './snapshots.js'
import { cue, mint, type KernelState } from './state.js'
import { switchTo, type SwitchReason } from './switching.js'
import { requiredName } from './terms.js'
import { keepHead, moveHead } from './timeline.js'

type Args = Readonly<Record<string, unknown>>
type Restored = Extract<WorkerEvent, { kind: 'restored' }>

/** A restore that is under way. */
export interface Restoring {
  /** What it waits for. */
  readonly key: string
  /** The copy that the kernel goes back to; null: there is none. */
  readonly wayBack: Snapshot | null
}

export interface RestoreResult {
  readonly checkpoint_id: string
  readonly restored: number
  readonly lost: readonly LostObject[]
  readonly warnings: readonly string[]
  readonly restore_ms: number
}

interface RestoreWish {
  readonly checkpoint: string
  readonly mode: 'clear' | 'merge'
  readonly names: readonly string[] | null
}

/**
 * Loads a checkpoint into the worker's namespace. Throws `bad_request`, `transaction_open`, what the store does,
 * `restore_failed`, `timeout` and `cancelled`; then the kernel is as it was.
 */
export function* restore(state: KernelState, args: Args): Operation<RestoreResult> {
  return yield* restoreOnto(state, wishOf(args), null)
}

/** The same, and what follows is on another branch. */
export function* branch(state: KernelState, args: Args): Operation<RestoreResult & { readonly branch: string }> {
  const name = requiredName(args['name'])
  const result = yield* restoreOnto(state, wishOf({ checkpoint: args['checkpoint'] }), name)
  return { ...result, branch: name }
}

function wishOf({ checkpoint, mode = 'clear', names = null }: Args): RestoreWish {
  if (typeof checkpoint !== 'string')
    throw new SavepointError('bad_request', 'Name the checkpoint to restore: its id or its name.')
  if (mode !== 'clear' && mode !== 'merge') throw new SavepointError('bad_request', "mode must be 'clear' or 'merge'.")
  if (names !== null && !isNames(names))
    throw new SavepointError('bad_request', 'names must be a list of variable names, or null.')
  return { checkpoint, mode, names }
}

function* restoreOnto(state: KernelState, wish: RestoreWish, newBranch: string | null): Operation<RestoreResult> {
  if (state.transactions.length > 0) {
    throw new SavepointError('transaction_open', 'A transaction is open. Commit it or roll it back, then restore.')
  }
  refuseSecond(state)
  const opened = yield* store<OpenCheckpoint>(state, { call: 'open_checkpoint', checkpoint: wish.checkpoint })
  const { checkpoint_id, branch: itsBranch } = opened.record
  refuseWithoutWorker(state)
  refuseSecond(state)
  const done = yield* loadOrGoBack(state, opened, wish)
  // What a cell restores is part of what the cell does.
  if (!state.turn?.cell) noteStep(state)
  if (wish.names === null) {
    moveHead(state, { head: checkpoint_id, branch: newBranch ?? itsBranch })
    keepHead(state)
    state.changed = false
  } else {
    state.changed = true
  }
  return { checkpoint_id, restored: done.restored, lost: done.lost, warnings: done.warnings, restore_ms: done.ms }
}

/** Requests take their turns, but a task of the user's can ask at any time. */
function refuseSecond({ restoring }: KernelState): void {
  if (restoring === null) return
  throw new SavepointError('kernel_busy', 'A checkpoint is being restored already. Restore another one after it.')
}

/** The codes of what is found before anything is loaded: nothing has changed then. */
const UNTOUCHED: readonly string[] = ['damaged_checkpoint', 'format_unsupported', 'foreign_checkpoint', 'bad_request']

function* loadOrGoBack(state: KernelState, opened: OpenCheckpoint, wish: RestoreWish): Operation<Restored> {
  const { checkpoint_id } = opened.record
  const way = wayBack(state)
  const id = mint(state)
  const { mode, names } = wish
  const { places, parts } = sourceOf(opened)
  const permitted = way ? { permit: way.permit } : {}
  command(state, { kind: 'restore', id, ...places, mode, names, ...permitted }, parts)
  const copy = way?.snapshot ?? null
  state.restoring = { key: `restored:${id}`, wayBack: copy }
  const outcome = yield* outcomeOf(waitFor<Restored>(`restored:${id}`, state.options.limits.restoreMs))
  state.restoring = null
  if (outcome instanceof SavepointError) {
    if (state.phase === 'stopping') throw outcome
    throw yield* goBack(state, copy, outcome, checkpoint_id)
  }
  const { error } = outcome
  if (error && !UNTOUCHED.includes(error.code)) {
    log(state, 'warn', 'restore_failed', { checkpoint: checkpoint_id, code: error.code })
    throw yield* goBack(state, copy, new SavepointError('restore_failed', error.message, error.details), checkpoint_id)
  }
  if (copy) discard(state, [copy])
  if (error) throw new SavepointError(error.code as ErrorCode, error.message, error.details)
  return outcome
}

function* outcomeOf<T>(operation: Operation<T>): Operation<T | SavepointError> {
  try {
    return yield* operation
  } catch (error) {
    return error as SavepointError
  }
}

/** Allows a copy of the present moment; null: there is no room for one. In the middle of a cell it goes on from there. */
function wayBack(state: KernelState): ReturnType<typeof permit> | null {
  if (state.debugging.attached) return null
  try {
    return permit(state, { kind: 'restore', name: null, block: Boolean(state.turn?.cell) })
  } catch (error) {
    if (error instanceof SavepointError) return null
    throw error
  }
}

/** Makes the kernel what it was before a restore that failed; the error that says so. Throws when it is lost. */
function* goBack(
  state: KernelState,
  copy: Snapshot | null,
  { code, message, details }: SavepointError,
  checkpoint: string,
): Operation<SavepointError> {
  const known = code === 'timeout' || code === 'cancelled' ? code : 'restore_failed'
  const what = code === 'timeout' ? 'The checkpoint was not loaded in time.' : message
  if (copy?.phase === 'frozen') {
    const error = new SavepointError(known, `${what} The kernel is as it was before.`, { ...details, checkpoint })
    const why: SwitchReason = { reason: { reason: 'error', ename: known, evalue: error.message }, parts: [] }
    const { limits } = yield* switchTo(state, copy, why, { stuck: code !== 'restore_failed' })
    guardRolledBack(state, copy)
    return new SavepointError(known, error.message, { ...error.details, limits })
  }
  if (copy) discard(state, [copy])
  const lost = new SavepointError(known, `${what} There was no copy to go back to.`, { ...details, checkpoint })
  if (state.worker === null) {
    if (state.phase !== 'switching') cue(state, 'switch')
    return new LeftWithoutWorker(lost)
  }
  // It may be at it for ever, with half of the names changed.
  if (code !== 'restore_failed' && state.worker.pid) state.effects.push({ do: 'kill', pid: state.worker.pid })
  return lost
}

/** An interrupt while a checkpoint is loaded: the kernel goes back to where it was. False: there is nothing to go back to. */
export function interruptRestore(state: KernelState): boolean {
  const { restoring } = state
  if (restoring?.wayBack?.phase !== 'frozen') return false
  return settle(state, restoring.key, null, new SavepointError('cancelled', 'The restore was interrupted.'))
}

/** What a worker is told of a checkpoint that it is to load. */
export function sourceOf({ format, path, packs, root, map }: Omit<OpenCheckpoint, 'record'>): {
  readonly places: { readonly format: 1 | 2; readonly path: string; readonly packs: readonly string[] }
  readonly parts: readonly Buffer[]
} {
  return { places: { format, path, packs }, parts: root && map ? [root, map] : [] }
}
