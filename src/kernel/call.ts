/** How an operation is called, whoever asks for it. */

import type { Client } from './effects.js'
import type { Operation } from './operation.js'
import type { KernelState } from './state.js'

export type Args = Readonly<Record<string, unknown>>

export interface Call {
  readonly args: Args
  /** Session of the client that asked. */
  readonly by: string | null
  /** The one whose request is being served; null: nobody's. */
  readonly client: Client | null
  readonly parent: Buffer
  /** The client's message; null for what code in the kernel asks. */
  readonly content: Buffer | null
  /** What came with it. */
  readonly buffers: readonly Buffer[]
  /** What is told to everybody once the one that asked has its answer. */
  readonly afterwards: (() => void)[]
  /** What of the request is not done, in words. */
  readonly warnings: string[]
}

export type Op = (state: KernelState, call: Call) => Operation<unknown>

/** Operations by name, with the fields that each understands. */
export type Ops = Readonly<Record<string, { readonly run: Op; readonly fields: readonly string[] }>>

/** Argument errors are thrown before the first step: inside a generator they reach the caller like all others. */
export function* called(op: Op, state: KernelState, call: Call): Operation<unknown> {
  return yield* op(state, call)
}
