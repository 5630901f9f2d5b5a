/** The process that is to be the worker next: asked for, waited for, welcomed. */

import type { WorkerCommand } from '../link/protocol.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { mint, type KernelState } from './state.js'

type Woken = Extract<WorkerCommand, { kind: 'welcome' }>['woken']

/** Has a frozen copy woken; it is the worker from here on, and dials in with `token`. */
export function askForCopy(state: KernelState, snapshot: string, token: string): void {
  state.generation += 1
  state.worker = { generation: state.generation, token, pid: null, snapshot }
  state.questions.length = 0
  state.effects.push({ do: 'wake', snapshot })
}

/** Has an empty worker forked; the token that it dials in with. */
export function askForEmpty(state: KernelState): string {
  state.generation += 1
  const token = mint(state)
  state.debugging.info = null
  state.worker = { generation: state.generation, token, pid: null, snapshot: null }
  state.effects.push({ do: 'fork', token })
  return token
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
