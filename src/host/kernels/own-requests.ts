/** What a gateway says by itself, in the form in which clients or kernels would: requests of its own, and states. */

import { randomUUID } from 'node:crypto'
import { seal } from '../../wire/codec.js'
import type { Signer } from '../../wire/signature.js'
import { EMPTY_OBJECT, json, PROTOCOL_VERSION, type IncomingMessage } from '../../wire/message.js'

/** All of one gateway process come from the same session. */
const SESSION = randomUUID()

export function ownRequest(msg_type: string, content: object): IncomingMessage {
  const header = {
    msg_id: randomUUID(),
    msg_type,
    session: SESSION,
    username: 'gateway',
    date: new Date().toISOString(),
    version: PROTOCOL_VERSION,
  }
  return {
    header,
    headerBytes: json(header),
    parentBytes: EMPTY_OBJECT,
    metadataBytes: EMPTY_OBJECT,
    contentBytes: json(content),
    buffers: [],
  }
}

/** What state a kernel is in of which there is no process that could say so. */
export function statusMessage(execution_state: string, session: string, date: string, signer: Signer): Buffer[] {
  const message = {
    type: 'status',
    parentBytes: EMPTY_OBJECT,
    metadataBytes: EMPTY_OBJECT,
    contentBytes: json({ execution_state }),
    buffers: [],
  }
  return seal(message, { msg_id: randomUUID(), session, date }, signer)
}
