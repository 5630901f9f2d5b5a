/**
 * The state as data, to be written down and gone on with by another process.
 *
 * Whoever waits in an operation is code in the middle of its run, and cannot be written down. Most waits are short, so a
 * state is kept between them. Those that may last for hours are begun anew instead: a clock needs nothing but the state
 * and the time at which it is to strike. What is kept has no instances of classes; the same object in two places stays
 * one (as `v8.serialize` has it).
 *
 * Invariant: the state that is revived does the same as the one that was kept, at whatever event.
 */

import { watchIdle, watchInterval } from './auto-checkpoints.js'
import { relimitCell } from './deadlines.js'
import { hearDebugger } from './debugging.js'
import { resettle } from './guard.js'
import { askAgain } from './input.js'
import { relimitTransaction } from './lapses.js'
import { failWaits } from './operation.js'
import { SavepointError } from '../errors.js'
import { repatient } from './op-requests.js'
import { reweigh } from './pressure.js'
import type { KernelState } from './state.js'

/** To be raised whenever a state that was kept before could not be gone on with. */
export const STATE_VERSION = 1

export interface KeptState {
  readonly version: number
  readonly state: Omit<KernelState, 'waiters' | 'effects'>
  /** What is waited for, in order. */
  readonly waits: readonly string[]
}

/** Begins a wait anew; false: this one cannot be. */
type Rearm = (state: KernelState, key: string) => boolean

const REARMABLE: readonly (readonly [prefix: string, rearm: Rearm])[] = [
  ['auto_interval', watchInterval],
  ['auto_idle', watchIdle],
  ['guard_rest', resettle],
  ['guard_weigh', reweigh],
  ['cell:', relimitCell],
  ['lapse:', relimitTransaction],
  ['op ', repatient],
]

/** The state as it is; null: somebody waits who could not be brought back, or the kernel is about to end. */
export function keep(state: KernelState): KeptState | null {
  const { waiters, effects, ...rest } = state
  if (effects.length > 0 || state.shutdown !== null || state.phase === 'dead') return null
  for (const key of waiters.keys()) if (!REARMABLE.some(([prefix]) => key.startsWith(prefix))) return null
  for (const { outcome } of state.forks.values()) if (outcome?.ok === false) return null
  const kept: KeptState = { version: STATE_VERSION, state: rest, waits: [...waiters.keys()] }
  return rearm({ ...rest, waiters: new Map(), effects: [] }, kept.waits) ? kept : null
}

/**
 * The state that was kept, with all that it waited for; deadlines are those of before. It is taken over, not copied.
 * Throws `storage_failed` for what cannot be gone on with.
 */
export function revive(kept: KeptState): KernelState {
  if (kept.version !== STATE_VERSION) {
    const message = `The state of the kernel was written down by another release (${kept.version}).`
    throw new SavepointError('storage_failed', message, { version: kept.version, needed: STATE_VERSION })
  }
  const state: KernelState = { ...kept.state, waiters: new Map(), effects: [] }
  if (!rearm(state, kept.waits)) {
    throw new SavepointError('storage_failed', 'The state of the kernel waits for what cannot be brought back.')
  }
  return state
}

function rearm(state: KernelState, waits: readonly string[]): boolean {
  for (const key of waits) {
    const [, begin] = REARMABLE.find(([prefix]) => key.startsWith(prefix)) ?? []
    if (begin?.(state, key) !== true || !state.waiters.has(key)) return false
  }
  // Whoever wrote them down knows when the deadlines pass.
  state.effects.length = 0
  return state.waiters.size === waits.length
}

/** The host is another process than before: what only the one before had is gone. */
export function movedHost(state: KernelState, seenAt: number): void {
  const error = new SavepointError('storage_failed', 'The gateway was restarted while this was done. Ask again.')
  // Its place was one of the process that is gone.
  state.auto.draft = null
  state.auto.isHeld = false
  failWaits(state, ['forked_writer:', 'written:'], error)
  failWaits(state, ['kernels:'], new SavepointError('cancelled', error.message))
  const { token } = state.debugging
  if (token !== null) hearDebugger(state, { on: 'debugger_gone', token })
  askAgain(state, seenAt)
}
