/** Answers that any request may get: one at once, between busy and idle, or an error. */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import { errorContent } from './execution.js'
import { log, publish, publishStatus, reply } from './send.js'
import type { KernelState, Request } from './state.js'

export type Handler = (state: KernelState, request: Request) => void

/** Serves a request between its busy and its idle. */
export function bracketed(handler: Handler): Handler {
  return (state, request) => {
    publishStatus(state, 'busy', request.message.headerBytes)
    answering(state, request, () => handler(state, request))
    publishStatus(state, 'idle', request.message.headerBytes)
  }
}

/** A request that cannot be served gets an error reply; true if it was served. */
export function answering(state: KernelState, request: Request, serve: () => void): boolean {
  try {
    serve()
    return true
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    replyError(state, request, error)
    return false
  }
}

export function answerInfo(state: KernelState, request: Request, content: Buffer): void {
  bracketed(() => reply(state, request, { content }))(state, request)
}

export function queueFull(): SavepointError {
  return new SavepointError('queue_full', 'Too many requests wait for this kernel. Wait for replies first.')
}

/** Answers a request that is not served. */
export function refuse(state: KernelState, request: Request, error: SavepointError): void {
  log(state, 'warn', 'request_refused', { code: error.code, type: request.message.header.msg_type })
  bracketed(() => {
    throw error
  })(state, request)
}

/** An error reply; one for a cell has its error among the outputs, too. */
export function replyError(state: KernelState, request: Request, error: SavepointError): void {
  if (!request.message.header.msg_type.endsWith('_request')) return
  const content = errorContent(error)
  if (request.message.header.msg_type === 'execute_request') {
    publish(state, 'error', request.message.headerBytes, { content: json(content) })
  }
  reply(state, request, { content: json({ status: 'error', ...content }) })
}
