/**
 * What was sent to one session and is not known to have arrived: what it gets again when it comes back.
 *
 * Bounded in messages and bytes, and by what all sessions of the gateway keep together; the oldest go first, since the
 * end of a cell (its reply, the state idle) is what nobody can do without. The frames are those that all clients of the
 * kernel share, so keeping a message for many costs little more than keeping it once.
 */

import type { Channel } from '../../wire/message.js'

export interface KeptMessage {
  readonly channel: Channel
  /** As `wire/codec` seals them: whoever comes back may speak another framing. */
  readonly frames: readonly Buffer[]
}

export interface KeptLimits {
  readonly keptBytesMax: number
  readonly keptMessagesMax: number
}

/** Bytes that all sessions keep together. */
export class KeptTotal {
  readonly bytesMax: number
  bytes = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }
}

interface Entry extends KeptMessage {
  readonly seq: number
  readonly bytes: number
  replays: number
}

/** What a message costs beside its bytes. */
const OVERHEAD_BYTES = 512
/** A message that ends its connection each time is not sent for ever. */
const REPLAYS_MAX = 3

export class Kept {
  readonly #limits: KeptLimits
  readonly #total: KeptTotal
  #entries: (Entry | null)[] = []
  /** Index of the first entry that is still kept; null stands before it. */
  #head = 0
  #bytes = 0
  #seq = 0
  #dropped = 0
  #droppedBytes = 0

  constructor(limits: KeptLimits, total: KeptTotal) {
    this.#limits = limits
    this.#total = total
  }

  /** Sequence number of the newest message; 0: none yet. */
  get newest(): number {
    return this.#seq
  }

  get size(): number {
    return this.#entries.length - this.#head
  }

  /** What the bounds did not allow to keep, since all before it arrived. */
  get dropped(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#dropped, bytes: this.#droppedBytes }
  }

  add(channel: Channel, frames: readonly Buffer[]): void {
    let bytes = OVERHEAD_BYTES
    for (const frame of frames) bytes += frame.length
    this.#seq += 1
    this.#entries.push({ channel, frames, seq: this.#seq, bytes, replays: 0 })
    this.#count(bytes)
    while (this.size > 0 && this.#exceedsBounds()) {
      this.#dropped += 1
      this.#droppedBytes += this.#removeOldest()
    }
  }

  /** Everything up to this sequence number has arrived. */
  confirm(seq: number): void {
    while ((this.#entries[this.#head]?.seq ?? Infinity) <= seq) this.#removeOldest()
    this.#dropped = 0
    this.#droppedBytes = 0
  }

  clear(): void {
    this.confirm(this.#seq)
  }

  /** Everything that is kept, oldest first. */
  all(): readonly KeptMessage[] {
    return this.#entries.filter((entry) => entry !== null)
  }

  /** What is to be sent again, oldest first. */
  replay(): readonly KeptMessage[] {
    const again = this.#entries.filter((entry) => entry !== null).filter(({ replays }) => replays < REPLAYS_MAX)
    for (const entry of again) entry.replays += 1
    return again
  }

  #exceedsBounds(): boolean {
    return (
      this.#bytes > this.#limits.keptBytesMax ||
      this.size > this.#limits.keptMessagesMax ||
      this.#total.bytes > this.#total.bytesMax
    )
  }

  #removeOldest(): number {
    const bytes = this.#entries[this.#head]?.bytes ?? 0
    this.#head += 1
    this.#count(-bytes)
    // Moving the rest each time would cost the square of what is kept.
    if (this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    } else {
      this.#entries[this.#head - 1] = null
    }
    return bytes
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#total.bytes += bytes
  }
}
