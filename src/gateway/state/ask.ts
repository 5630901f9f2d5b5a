/** Ops of a kernel over HTTP: they wait for their turn in its queue, for as long as the request says. */

import { SavepointError } from '../../errors.js'
import type { Principal } from '../auth/principal.js'
import type { GatewayKernel } from '../ports.js'

export const TRANSACTIONS = 'savepoint.transaction'
export const CHECKPOINTS = 'savepoint.checkpoint'

/** Seconds that an op waits for its turn unless the request says otherwise, and at most. */
const WAIT_S = 30
const WAIT_S_MAX = 3_600

export interface OpCall {
  readonly kernel: GatewayKernel
  readonly principal: Principal
  /** `wait_s` of the query. */
  readonly wait: string | undefined
  /** The client hung up. */
  readonly signal: AbortSignal
}

/**
 * The op's result; what was ignored of the request is named in its `warnings`. Throws what the op does, and
 * `kernel_busy` if its turn did not come in time: then nothing was done.
 */
export async function askKernel(
  call: OpCall,
  target: string,
  data: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const { kernel, principal, signal } = call
  const waitMs = waitMsOf(call.wait, WAIT_S, WAIT_S_MAX)
  const { result, warnings } = await kernel.op(target, data, { by: principal.subject, waitMs, signal })
  return { ...(result as object), ...(warnings.length > 0 ? { warnings } : {}) }
}

/** Milliseconds of `wait_s`. Throws `bad_request`. */
export function waitMsOf(text: string | undefined, initialS: number, maxS: number): number {
  if (text === undefined) return initialS * 1_000
  const seconds = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : NaN
  if (seconds <= maxS) return seconds * 1_000
  throw new SavepointError('bad_request', `wait_s must be a number of seconds from 0 to ${maxS}.`, { wait_s: text })
}
