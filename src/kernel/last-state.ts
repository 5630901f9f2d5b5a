/**
 * The state that outlives its process (`--restore last`): saved when the kernel ends in order, and restored into the
 * first worker of the next process of the same kernel, before that worker's first request.
 *
 * What is restored is the newest checkpoint of this kernel, whoever made it: after an orderly end that is the one made
 * then, after a crash an older one. A restore never keeps a kernel from starting: one that fails, kills the worker or
 * does not end costs that worker at most, and the first reply says so.
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { dropDraft, SHUTDOWN_NOTE } from './auto-checkpoints.js'
import { start, store } from './checkpoints.js'
import type { OpenCheckpoint } from './effects.js'
import { failWaits, run, settle, waitFor, type Operation } from './operation.js'
import { command, log } from './send.js'
import { sourceOf } from './restoring.js'
import { mint, parentOfTurn, type KernelState } from './state.js'
import { headOf, moveHead } from './timeline.js'

/** How a checkpoint that was made at an end is told from others. */
export const LAST_NOTE = 'saved when the kernel ended'

/** Saves the worker's namespace, if that is wished for, as long as a client waits for the end. Never throws. */
export function* saveLast(state: KernelState): Operation<void> {
  const { lastState } = state
  const { restoreLast: last, checkpoints, limits } = state.options
  dropDraft(state)
  // A process that ends before it has what the last one left has nothing to add to it.
  if (!state.worker?.pid || lastState === 'to_restore' || lastState === 'restoring') return
  if (!last && !(checkpoints.shutdown && state.changed)) return
  run(state, last ? save(state) : saveAtEnd(state), (outcome) => {
    if (!outcome.ok) {
      log(state, 'error', 'last_state_not_saved', { code: outcome.error.code, message: outcome.error.message })
    }
    settle(state, 'last_saved', null)
  })
  try {
    yield* waitFor<void>('last_saved', last ? limits.saveLastMs : limits.saveAtEndMs)
  } catch (error) {
    // Whatever it waits for, it waits for no longer.
    failWaits(state, ['store:', 'forked_writer:', 'written:'], error as SavepointError)
  }
}

function* save(state: KernelState): Operation<void> {
  const wish = { name: null, note: LAST_NOTE, exclude: null }
  const { finish, writing } = yield* start(state, wish, parentOfTurn(state))
  yield* finish()
  // What could not be restored is kept for a person to look at; of other ends before, nobody needs the state any more.
  if (state.lastState === 'lost') return
  const keep = String(writing['checkpoint_id'])
  yield* store<unknown>(state, { call: 'prune_checkpoints', note: LAST_NOTE, keep })
}

function* saveAtEnd(state: KernelState): Operation<void> {
  const wish = { name: null, note: SHUTDOWN_NOTE, exclude: null, automatic: true }
  const { finish } = yield* start(state, wish, parentOfTurn(state))
  yield* finish()
}

/** Restores into a worker that has just come up. False: this worker is of no use any more, and another one is needed. */
export function* restoreLast(state: KernelState): Operation<boolean> {
  if (state.lastState !== 'to_restore') return true
  state.lastState = 'restoring'
  const { worker } = state
  try {
    const { head } = yield* headOf(state)
    if (head !== null) {
      yield* load(state, yield* store<OpenCheckpoint>(state, { call: 'open_checkpoint', checkpoint: head }))
    }
    state.lastState = 'done'
    return true
  } catch (error) {
    if (state.shutdown) throw error
    const { code, message } = error as SavepointError
    state.lastState = 'lost'
    log(state, 'error', 'last_state_not_restored', { code, message })
    state.notices.push(`The state of the last process could not be restored. ${code}: ${message}`)
    // A worker that does not answer may be in the middle of it for ever, with half of the names changed.
    if (code === 'timeout' && worker?.pid) state.effects.push({ do: 'kill', pid: worker.pid })
    return code !== 'timeout' && state.worker !== null
  }
}

function* load(state: KernelState, opened: OpenCheckpoint): Operation<void> {
  if (!state.worker) throw new SavepointError('kernel_dead', 'The worker died meanwhile.')
  const id = mint(state)
  const { places, parts } = sourceOf(opened)
  command(state, { kind: 'restore', id, ...places, mode: 'merge', names: null }, parts)
  type Restored = Extract<WorkerEvent, { kind: 'restored' }>
  const { error, lost, warnings } = yield* waitFor<Restored>(`restored:${id}`, state.options.limits.restoreLastMs)
  if (error) throw new SavepointError('restore_failed', error.message, error.details)
  const { note, created_at, checkpoint_id, branch } = opened.record
  moveHead(state, { head: checkpoint_id, branch })
  if (note !== LAST_NOTE) {
    state.notices.push(`The last process saved nothing at its end: this is the state of ${created_at}.`)
  }
  state.notices.push(...warnings, ...lost.map(({ name, reason }) => `'${name}' could not be restored: ${reason}.`))
}
