/**
 * The connection to the debugger's thread of the current worker. There is at most one: calling another, or dismissing,
 * ends the one before.
 */

import type { DebuggerCommand, DebuggerEvent, Hello } from '../link/protocol.js'
import type { Connection, ConnectionHandlers } from './connection.js'

/** What happens on the line; `token` is that given to `call`. */
export interface DebuggerListener {
  debuggerUp(token: string): void
  debuggerSaid(token: string, event: DebuggerEvent, parts: readonly Buffer[]): void
  debuggerGone(token: string): void
}

export class DebuggerLine {
  readonly #listener: DebuggerListener
  /** Who may dial in. */
  #token: string | null = null
  #connection: Connection | null = null

  constructor(listener: DebuggerListener) {
    this.#listener = listener
  }

  /** From now on the thread that was told `token` may dial in, once. */
  call(token: string): void {
    this.dismiss()
    this.#token = token
  }

  admit(hello: Hello, connect: (handlers: ConnectionHandlers) => Connection): boolean {
    const { token } = hello
    if (this.#connection !== null || token !== this.#token) return false
    this.#connection = connect({
      onFrame: ({ envelope, parts }) => this.#listener.debuggerSaid(token, envelope as DebuggerEvent, parts),
      onClose: () => {
        if (this.#token === token) this.#token = this.#connection = null
        this.#listener.debuggerGone(token)
      },
    })
    this.#listener.debuggerUp(token)
    return true
  }

  tell(command: DebuggerCommand, parts: readonly Buffer[]): void {
    this.#connection?.send(command, parts)
  }

  /** Hangs up, which ends the thread. */
  dismiss(): void {
    this.#connection?.close()
    this.#token = this.#connection = null
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }
}
