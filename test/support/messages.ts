/** Messages as clients send them, for tests that have no sockets. */

import type { IncomingMessage } from '../../src/wire/message.js'

export interface MessageFields {
  readonly id: string
  readonly type: string
  readonly content?: unknown
  readonly metadata?: unknown
  readonly parent?: unknown
  /** The client's session. */
  readonly session?: string
  readonly buffers?: readonly string[]
  /** The subshell that it is for. */
  readonly subshell?: string
}

export function incoming(fields: MessageFields): IncomingMessage {
  const header = {
    msg_id: fields.id,
    msg_type: fields.type,
    session: fields.session ?? 'ann',
    username: 'test',
    date: '2030-01-01T00:00:00.000001Z',
    version: '5.5',
    ...(fields.subshell === undefined ? {} : { subshell_id: fields.subshell }),
  }
  return {
    header,
    headerBytes: bytes(header),
    parentBytes: bytes(fields.parent ?? {}),
    metadataBytes: bytes(fields.metadata ?? {}),
    contentBytes: bytes(fields.content ?? {}),
    buffers: (fields.buffers ?? []).map((text) => Buffer.from(text)),
  }
}

/** JSON as bytes; what is bytes already stays as it is, so that tests can send what is no JSON. */
export function bytes(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
}

/** What `bytes` were made from; undefined for what is no JSON. */
export function parsed(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString())
  } catch {
    return undefined
  }
}

export function msgIdOf(headerBytes: Buffer): string | null {
  const header = parsed(headerBytes)
  if (typeof header !== 'object' || header === null || !('msg_id' in header)) return null
  return typeof header.msg_id === 'string' ? header.msg_id : null
}
