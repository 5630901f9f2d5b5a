/** The process that is to be the worker next: asked for, waited for, welcomed. */

import type { WorkerCommand } from '../link/protocol.js'
import { settle, waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { mint, type KernelState } from './state.js'

type Woken = Extract<WorkerCommand, { kind: 'welcome' }>['woken']

/** Waited for where the worker is to notice an interrupt. */
export const INTERRUPT_NOTICED = 'interrupt_noticed'

/** Has a frozen copy woken; it is the worker from here on, and dials in with `token`. */
export function askForCopy(state: KernelState, snapshot: string, token: string): void {
  nextGeneration(state)
  state.worker = { generation: state.generation, token, pid: null, snapshot }
  state.questions.length = 0
  state.effects.push({ do: 'wake', snapshot })
}

/** Has an empty worker forked; the token that it dials in with. */
export function askForEmpty(state: KernelState): string {
  nextGeneration(state)
  const token = mint(state)
  state.debugging.info = null
  state.worker = { generation: state.generation, token, pid: null, snapshot: null }
  state.effects.push({ do: 'fork', token })
  return token
}

/** What the one before has not noticed it never will. */
function nextGeneration(state: KernelState): void {
  state.generation += 1
  settle(state, INTERRUPT_NOTICED, null)
}

/** Waits until it has dialled in, and tells it who it is. Throws what kept it from coming. */
export function* welcome(
  state: KernelState,
  token: string,
  woken: Woken,
  parts: readonly Buffer[] = [],
): Operation<void> {
  yield* waitFor<void>(`up:${token}`, state.options.limits.wakeMs)
  const { generation } = state
  const { session } = state.options
  command(state, { kind: 'welcome', generation, session, execution_count: state.executionCount + 1, woken }, parts)
}
