/** Requests that a gateway makes of its own kernels, in the form in which clients make theirs. */

import { randomUUID } from 'node:crypto'
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
