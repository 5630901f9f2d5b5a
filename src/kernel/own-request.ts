/**
 * Requests that came as no message, and have a turn all the same: publications that belong to them need a parent, and
 * records an author.
 */

import { EMPTY_OBJECT, json, PROTOCOL_VERSION } from '../wire/message.js'
import { dateOf, type KernelState, type Request } from './state.js'

/** A request as if `by` had sent it; it takes the next number. */
export function ownRequest(state: KernelState, id: string, by: string, content: object = {}): Request {
  const header = {
    msg_id: id,
    msg_type: 'savepoint_op',
    session: by,
    username: '',
    date: dateOf(state),
    version: PROTOCOL_VERSION,
  }
  const message = {
    header,
    headerBytes: json(header),
    parentBytes: EMPTY_OBJECT,
    metadataBytes: EMPTY_OBJECT,
    contentBytes: json(content),
    buffers: [],
  }
  const request: Request = { seq: state.nextSeq, channel: 'shell', client: { routing: [] }, message, isComm: false }
  state.nextSeq += 1
  return request
}
