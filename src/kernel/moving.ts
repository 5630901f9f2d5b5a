/**
 * A worker that is a copy in which some library would hang, and that is the worker all the same: in the middle of a cell
 * there is no other way, and a forked kernel begins with one. As soon as nothing runs its variables move to a fresh one.
 */

import { endWithoutWorker } from './death.js'
import { finishTurn } from './execution.js'
import { run } from './operation.js'
import { ownRequest } from './own-request.js'
import { log } from './send.js'
import { moveOn } from './switching.js'
import type { KernelState, Request, Turn } from './state.js'

/** The worker says that it is such a copy. */
export function noteHanging(state: KernelState, libraries: readonly string[]): void {
  if (state.worker && libraries.length > 0) state.worker.hangs = libraries
}

/** The turn that is to come before all others, or null. */
export function dueMove(state: KernelState): Request | null {
  const { worker } = state
  if (!worker?.pid || worker.hangs === undefined || worker.stays === true || state.shutdown) return null
  // What runs in a subshell would end with the process.
  if ([...state.subshells.values()].some(({ turn }) => turn !== null)) return null
  worker.stays = true
  return { ...ownRequest(state, `move-${worker.generation}`, state.options.session), moves: true }
}

/** Its turn has come. */
export function startMoving(state: KernelState, turn: Turn): void {
  const hangs = state.worker?.hangs
  if (!hangs) {
    // Another one has taken its place.
    finishTurn(state, turn)
    return
  }
  run(state, moveOn(state, hangs), (outcome) => {
    if (outcome.ok && outcome.value.moved) {
      state.notices.push(...outcome.value.limits.map((limit) => `A rollback left behind: ${limit}.`))
    } else if (!outcome.ok) {
      log(state, 'warn', 'not_moved', { code: outcome.error.code, message: outcome.error.message })
    }
    finishTurn(state, turn)
    if (!outcome.ok && state.phase === 'switching') endWithoutWorker(state, outcome.error)
  })
}
