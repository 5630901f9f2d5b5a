/**
 * A Jupyter message as the gateway holds it: the header parsed, everything else as the bytes that came or will go.
 *
 * Content is never parsed and written again on its way through: it may hold integers beyond 2^53, lone surrogates and
 * NaN, and costs time. The parent header is echoed as the raw bytes of the request's header, so that unknown fields and
 * microseconds survive.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#general-message-format
 */

export type Channel = 'shell' | 'control' | 'stdin' | 'iopub'
/** Channels on which clients send to us. */
export type RequestChannel = 'shell' | 'control' | 'stdin'

export interface Header {
  readonly msg_id: string
  readonly msg_type: string
  readonly session: string
  readonly username: string
  readonly date: string
  readonly version: string
  readonly subshell_id?: string | null
}

/** A message from a client, verified. */
export interface IncomingMessage {
  readonly header: Header
  readonly headerBytes: Buffer
  readonly parentBytes: Buffer
  readonly metadataBytes: Buffer
  readonly contentBytes: Buffer
  readonly buffers: readonly Buffer[]
}

/** A message to clients, before it has an id, a date and a signature (those come in as a `Stamp`: wire is pure). */
export interface OutgoingMessage {
  readonly type: string
  /** Raw header bytes of the request that this belongs to; `{}` for none. */
  readonly parentBytes: Buffer
  readonly metadataBytes: Buffer
  readonly contentBytes: Buffer
  readonly buffers: readonly Buffer[]
}

/** What makes an outgoing message this one and no other. */
export interface Stamp {
  readonly msg_id: string
  /** ISO 8601, UTC, with fraction and `Z`. */
  readonly date: string
  /** The kernel's session id: the same in every message of one kernel process. */
  readonly session: string
}

export const EMPTY_OBJECT = Buffer.from('{}')
export const PROTOCOL_VERSION = '5.5'

/** Content of our own making as bytes. */
export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
