/**
 * Sends on one ZeroMQ socket: in order, one message at a time, within a bound.
 *
 * A ZeroMQ socket refuses a second `send` while one is under way, whoever calls it, so all that a socket sends passes
 * through its outbox. Nothing is dropped: what is above the bound is still queued, and whoever makes the messages has
 * to pause while the outbox is full.
 */

import { isAscii } from 'node:buffer'
import { codeOf } from './fault.js'

/** The part of a ZeroMQ socket that an outbox uses. */
export interface Sink {
  send(frames: (Buffer | string)[]): Promise<void>
}

export interface OutboxOptions {
  /** Bytes that may wait before the outbox is full. */
  readonly bytesMax: number
  /** A message could not be sent and is lost. The next one is tried all the same. */
  onFailed(error: unknown): void
  /** The outbox was full, and less than half of the bound waits now. */
  onDrained?(): void
}

export class Outbox {
  readonly #sink: Sink
  readonly #options: OutboxOptions
  /** Messages not handed to ZeroMQ yet. What was sent is cut off in bulk, since shifting a long array is slow. */
  #waiting: Buffer[][] = []
  #next = 0
  #bytes = 0
  #sending = false
  #held = false
  #full = false
  #closed = false
  #idle: (() => void)[] = []

  constructor(sink: Sink, options: OutboxOptions) {
    this.#sink = sink
    this.#options = options
  }

  /** Sends a message after those that wait. It belongs to ZeroMQ from now on. */
  send(frames: Buffer[]): void {
    if (this.#closed) return
    if (!this.#sending && !this.#held) return this.#transmit(frames)
    this.#waiting.push(frames)
    this.#bytes += length(frames)
    if (this.#bytes > this.#options.bytesMax) this.#full = true
  }

  /** Sends nothing until `release`. */
  hold(): void {
    this.#held = true
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    if (!this.#sending) this.#continue()
  }

  get full(): boolean {
    return this.#full
  }

  /** Resolves when nothing waits and nothing is under way. */
  flushed(): Promise<void> {
    if (!this.#sending && this.#waiting.length === this.#next) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Forgets what waits. Sending afterwards does nothing. */
  close(): void {
    this.#closed = true
    this.#waiting = []
    this.#next = 0
    this.#bytes = 0
    this.#settle()
  }

  #transmit(frames: Buffer[]): void {
    this.#sending = true
    let sent: Promise<void>
    try {
      sent = this.#sink.send(frames.map(light))
    } catch (error) {
      sent = Promise.reject(error)
    }
    sent.then(
      () => this.#continue(),
      (error: unknown) => {
        if (codeOf(error) === 'EAGAIN' && !this.#closed) {
          // ZeroMQ does not say when there is room again.
          setTimeout(() => this.#again(frames), ROOM_POLL_MS)
          return
        }
        // A socket that was closed under a pending send is no news.
        if (!this.#closed) this.#options.onFailed(error)
        this.#continue()
      },
    )
  }

  #again(frames: Buffer[]): void {
    if (this.#closed) this.#continue()
    else this.#transmit(frames)
  }

  #continue(): void {
    this.#sending = false
    if (this.#held) return
    const frames = this.#waiting[this.#next]
    if (frames === undefined) {
      this.#waiting = []
      this.#next = 0
      this.#settle()
      return
    }
    this.#next += 1
    if (this.#next > 1024 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    this.#bytes -= length(frames)
    this.#transmit(frames)
    if (this.#full && this.#bytes * 2 < this.#options.bytesMax) {
      this.#full = false
      this.#options.onDrained?.()
    }
  }

  #settle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}

const ROOM_POLL_MS = 10

/** Buffers up to this size are copied by the binding itself. */
const COPIED_BYTES_MAX = 128
const LIGHT_BYTES_MAX = 8192

/**
 * The same frame as the binding sends it at the least cost. A larger buffer is not copied but lent to ZeroMQ's thread,
 * which wakes this one to give it back; a string is copied. Only of ASCII are the bytes the same.
 */
function light(frame: Buffer): Buffer | string {
  if (frame.length <= COPIED_BYTES_MAX || frame.length > LIGHT_BYTES_MAX || !isAscii(frame)) return frame
  return frame.toString('latin1')
}

function length(frames: readonly Buffer[]): number {
  let bytes = 0
  for (const frame of frames) bytes += frame.length
  return bytes
}
