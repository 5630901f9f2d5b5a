/** A kernel that is a fork of another one: what it begins with, and how its first worker comes. */

import { SavepointError } from '../errors.js'
import { run, type Operation } from './operation.js'
import { log } from './send.js'
import { stop } from './shutdown.js'
import { cue, mint, type KernelState } from './state.js'
import { openSubshells } from './subshells.js'
import { welcome } from './succession.js'
import type { Timeline } from './timeline.js'
import { transplant } from './transplant.js'

/** What the clients of a kernel know of it, and those of its forks are to find. */
export interface ForkFacts {
  readonly executionCount: number
  /** Id and target of each comm that is open in the worker. */
  readonly comms: readonly (readonly [string, string])[]
  /** What `debugInfo` says while nobody debugs. */
  readonly debugInfo: Buffer | null
  /** Libraries whose calls would hang in a copy. */
  readonly hangs: readonly string[]
  /** Where it stood among the checkpoints. */
  readonly timeline: Timeline
}

/** What a forked kernel begins with: its first worker is that copy. */
export interface Forked extends ForkFacts {
  readonly snapshot: string
}

/** The first worker of a kernel that is a fork: it wakes, and goes on where the other kernel was. */
export function wakeForked(state: KernelState, { snapshot, hangs }: Forked): void {
  state.generation += 1
  const token = mint(state)
  state.worker = { generation: state.generation, token, pid: null, snapshot }
  state.effects.push({ do: 'become', snapshot })
  run(state, comeUp(state, token, hangs), (outcome) => {
    if (outcome.ok || state.shutdown) return
    // Nobody is there who could be asked to end.
    state.worker = null
    log(state, 'error', 'start_failed', { code: outcome.error.code, message: outcome.error.message })
    stop(state, { code: 1, restart: false, request: null })
  })
}

function* comeUp(state: KernelState, token: string, hangs: readonly string[]): Operation<void> {
  yield* welcome(state, token, { reason: 'requested', resume: false, inputs: [] })
  if (hangs.length > 0) leftBehind(state, (yield* transplant(state, hangs, noWayBack)).limits)
  openSubshells(state)
  cue(state, 'worker_up')
}

/** The copy was ended when the fresh worker was to have its variables, and there is no other of it. */
// eslint-disable-next-line require-yield
function* noWayBack(): Operation<never> {
  throw new SavepointError('restore_failed', 'Its variables could not be moved to a fresh worker.')
}

/** What the worker of a forked kernel had to leave behind: the reply of the first cell says so. */
export function leftBehind(state: KernelState, limits: readonly string[]): void {
  if (limits.length > 0) state.notices.push(`Not in this fork of the kernel: ${limits.join(', ')}.`)
}
