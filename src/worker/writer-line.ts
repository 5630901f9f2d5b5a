/** Checkpoint writers: each dials in with its token, says how far it is, says what became of it, and ends. */

import type { Clock } from '../clock.js'
import type { Hello, WriterEvent } from '../link/protocol.js'
import { writerEvent } from '../link/shapes.js'
import type { Connection, ConnectionHandlers } from './connection.js'

export interface WriterListener {
  writerSaid(event: WriterEvent, parts: readonly Buffer[]): void
}

export class WriterLine {
  readonly #clock: Clock
  readonly #dialMs: number
  readonly #listener: WriterListener
  /** Tokens of writers that have not dialled in, with their checkpoints. */
  readonly #expected = new Map<string, string>()
  /** Those that are at work, by their checkpoints. */
  readonly #atWork = new Map<string, Connection>()

  /** `dialMs`: how long a writer may take until it dials in. */
  constructor(clock: Clock, dialMs: number, listener: WriterListener) {
    this.#clock = clock
    this.#dialMs = dialMs
    this.#listener = listener
  }

  /** Who has this token may dial in, once; who does not is told as a failure. */
  expect(token: string, checkpoint: string): void {
    this.#expected.set(token, checkpoint)
    this.#clock.after(this.#dialMs, () => {
      if (this.#expected.delete(token)) this.#failed(checkpoint, 'its process did not start')
    })
  }

  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    const checkpoint = this.#expected.get(hello.token)
    if (checkpoint === undefined) return false
    this.#expected.delete(hello.token)
    let told = false
    const connection = connect({
      onFrame: ({ envelope, parts }) => {
        const event = told ? null : writerEvent(envelope, parts)
        // A writer speaks of its own checkpoint, or of none.
        const own = event?.checkpoint === checkpoint
        if (event && own) this.#listener.writerSaid(event, parts)
        if (own && event?.kind === 'writing') return
        told ||= own
        connection.close()
      },
      onClose: () => {
        if (this.#atWork.get(checkpoint) === connection) this.#atWork.delete(checkpoint)
        if (!told) this.#failed(checkpoint, 'its process ended before it was done')
      },
    })
    this.#atWork.set(checkpoint, connection)
    return true
  }

  /** Nobody wants that checkpoint any more: its writer ends, with all that it has started. */
  cancel(checkpoint: string): void {
    for (const [token, expected] of this.#expected) if (expected === checkpoint) this.#expected.delete(token)
    this.#atWork.get(checkpoint)?.close()
  }

  #failed(checkpoint: string, reason: string): void {
    this.#listener.writerSaid({ kind: 'write_failed', checkpoint, reason }, [])
  }
}
