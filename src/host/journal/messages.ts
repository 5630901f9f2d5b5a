/** What a kernel has said, as whoever catches up reads it. */

import type { Channel } from '../../wire/message.js'

/** A message to clients, as it was sent. */
export interface JournalMessage {
  /** 1, 2, ... over all of the kernel's life. */
  readonly seq: number
  readonly channel: Channel
  /** Key of the client that it is for; null: for everybody, on iopub. */
  readonly to: string | null
  /** What follows the key in `Client.routing`. */
  readonly routing: readonly Buffer[]
  /** Its type. */
  readonly topic: string
  /** As `wire/codec` seals them, without routing and topic; signed for whoever was there then. */
  readonly frames: readonly Buffer[]
}

/** The messages of a kernel, as far back as they are kept. Reads what is asked for from disk; nothing throws. */
export interface MessageJournal {
  /** The `seq` of the newest message, and of the oldest that is kept; 0 and 1 before the first one. */
  readonly newest: number
  readonly oldest: number
  /** Those after `seq`, in order: at most so many bytes, but at least one message if there is one. */
  since(seq: number, bytesMax: number): readonly JournalMessage[]
  /** What belongs to a request, by its msg_id: after `seq` (0), in order, as far as it is kept, at most so many bytes. */
  ofParent(msgId: string, seq?: number, bytesMax?: number): readonly JournalMessage[]
  /** The `seq` of a message by its own msg_id; null: it is not known (any more). */
  seqOf(msgId: string): number | null
  /** Requests that have their busy and not yet their idle, oldest first. */
  running(): readonly RunningRequest[]
}

export interface RunningRequest {
  readonly msgId: string
  /** Of its busy. */
  readonly seq: number
}
