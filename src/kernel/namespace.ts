/**
 * The user's variables, as clients ask for them. The worker does it, in the turn of the request.
 *
 * What the client wrote and what the worker answers is passed on as it is: numbers of Python's size would not survive
 * being parsed here.
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { noteChange } from './guard.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { mint, type KernelState } from './state.js'

/** JSON that nobody here has read. */
export class RawJson {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

export const NAMESPACE_OPS = {
  list: ['limit'],
  get: ['names'],
  set: ['values', 'merge', 'source'],
  delete: ['names', 'source'],
  changes: [],
} as const
export type NamespaceOp = keyof typeof NAMESPACE_OPS

type Answered = Extract<WorkerEvent, { kind: 'namespace' }>

/** Has the worker do what `content`, a comm_msg's, asks for. */
export function* askWorker(state: KernelState, op: NamespaceOp, content: Buffer): Operation<RawJson> {
  if (op === 'set' || op === 'delete') noteChange(state)
  const id = mint(state)
  command(state, { kind: 'namespace', id, op }, [content])
  const { event, result } = yield* waitFor<{ event: Answered; result: Buffer | undefined }>(
    `namespace:${id}`,
    state.options.limits.namespaceMs,
  )
  if (event.error) {
    const { code, message, details } = event.error
    throw new SavepointError(code === 'bad_request' || code === 'cancelled' ? code : 'internal', message, details)
  }
  return new RawJson(result ?? Buffer.from('null'))
}
