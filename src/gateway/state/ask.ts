/** Ops of a kernel over HTTP: they wait for their turn in its queue, for as long as the request says. */

import type { ServerResponse } from 'node:http'
import { kernelFor } from '../access.js'
import type { Principal } from '../auth/principal.js'
import { hungUpSignal } from '../hung-up.js'
import type { GatewayKernel, GatewayKernels } from '../ports.js'
import { waitMsOf } from '../wait.js'

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

/** A request that asks a kernel for an op. */
export interface OpRequest {
  readonly params: { readonly id: string }
  readonly query: { readonly wait_s?: string }
  readonly principal: Principal
}

/** How such requests are asked, until their client hangs up. The function throws `unknown_kernel`. */
export function opCallsOf(kernels: GatewayKernels) {
  return ({ params, query, principal }: OpRequest, reply: { readonly raw: ServerResponse }): OpCall => ({
    kernel: kernelFor(kernels, params.id, principal),
    principal,
    wait: query.wait_s,
    signal: hungUpSignal(reply),
  })
}
