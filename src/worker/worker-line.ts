/**
 * The link to one worker, over all of its connections: what came is counted, what was sent is kept until the worker has
 * it. So each side can send again what the other has not, when a connection breaks while both live.
 */

import type { Envelope, Numbered, Resumed, WorkerCommand } from '../link/protocol.js'
import type { Connection } from './connection.js'

/** A command, and its parts. */
export type Told = readonly [Numbered<WorkerCommand>, readonly Buffer[]]

/** A worker may go on with so much that it does not know to be safe. */
const FRAMES_A_ACK = 64
const BYTES_A_ACK = 65_536
/** Roughly what an envelope takes. */
const ENVELOPE_BYTES = 100
/** Commands that wait to be confirmed. Who has got fewer than are gone from here cannot come back. */
const KEPT_MAX = 10_000

export class WorkerLine {
  #connection: Connection | null = null
  /** Frames that came, each counted once; those that are safe; those that the worker knows to be safe. */
  #came: number
  #safe: number
  #acked: number
  /** The latest frame of this connection. */
  #at: number
  /** Frames that it had made when it came back. */
  #sent = 0
  #bytes = 0
  /** Numbered commands that the worker may not have got. */
  #kept: Told[]
  /** The highest number that is no longer kept although it was not confirmed. */
  #dropped = 0
  /** Commands without a number that wait for a connection. */
  readonly #waiting: Told[] = []
  #paused = false

  /** `frames`, `commands`: of a worker that speaks to another gateway now: those that are safe, those to send again. */
  constructor(frames = 0, commands: readonly Told[] = []) {
    this.#came = this.#safe = this.#acked = this.#at = frames
    this.#kept = [...commands]
  }

  get isOpen(): boolean {
    return this.#connection !== null
  }

  /** All is here that the worker had said when it came back. */
  get isCaughtUp(): boolean {
    return this.#at >= this.#sent
  }

  /** The worker dialled in for the first time. */
  open(connection: Connection): void {
    this.#connection = connection
  }

  /** It speaks of having been here before, and is new to us. */
  greet(): void {
    this.#connection?.send({ kind: 'resume', frames: this.#safe } as Envelope)
  }

  /** Can it go on where it left off? */
  accepts({ sent = 0, got = 0 }: Partial<Resumed>): boolean {
    return sent >= this.#safe && got >= this.#dropped
  }

  /** The worker came back: each side sends again what the other lacks. */
  reopen(connection: Connection, { got = 0, sent = 0 }: Partial<Resumed>): void {
    this.#sent = sent
    this.#connection?.close()
    this.#connection = connection
    this.#at = this.#acked = this.#safe
    this.#bytes = 0
    this.confirm(got)
    connection.together(() => {
      connection.send({ kind: 'resume', frames: this.#safe } as Envelope)
      for (const [command, parts] of [...this.#kept, ...this.#waiting.splice(0)]) connection.send(command, parts)
    })
    if (this.#paused) connection.pause()
  }

  /** Number of the frame that is here now, or null: it was here before. */
  take(parts: readonly Buffer[]): number | null {
    this.#at += 1
    if (this.#at <= this.#came) return null
    this.#came = this.#at
    this.#bytes += ENVELOPE_BYTES
    for (const part of parts) this.#bytes += part.length
    return this.#at
  }

  /** Frames up to this one are safe. The worker is told in no haste. */
  durable(frame: number): void {
    if (frame <= this.#safe) return
    this.#safe = frame
    if (frame - this.#acked >= FRAMES_A_ACK || this.#bytes >= BYTES_A_ACK) this.#acknowledge()
  }

  /** The worker has commands up to that number. */
  confirm(got: number): void {
    if (this.#kept.length === 0) return
    this.#kept = this.#kept.filter(([{ n = 0 }]) => n > got)
  }

  send(command: Numbered<WorkerCommand>, parts: readonly Buffer[]): void {
    const { n } = command
    if (n !== undefined) {
      this.#kept.push([command, parts])
      if (this.#kept.length > KEPT_MAX) this.#dropped = this.#kept.shift()?.[0].n ?? 0
    }
    if (this.#connection === null) {
      if (n === undefined && this.#waiting.length < KEPT_MAX) this.#waiting.push([command, parts])
      return
    }
    if (this.#safe > this.#acked) this.#acknowledge()
    this.#connection.send(command, parts)
  }

  together(work: () => void): void {
    if (this.#connection) this.#connection.together(work)
    else work()
  }

  /** The connection is over. */
  lost(): void {
    this.#connection = null
  }

  pause(): void {
    this.#paused = true
    this.#connection?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#connection?.resume()
  }

  close(): void {
    this.#connection?.close()
  }

  #acknowledge(): void {
    this.#acked = this.#safe
    this.#bytes = 0
    this.#connection?.send({ kind: 'ack', frames: this.#acked } as Envelope)
  }
}
