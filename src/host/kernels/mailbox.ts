/** What clients send to a kernel while there is no process that could take it: it waits for the next one. */

import type { Client, KernelEvent } from '../../kernel/effects.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'

type Withdrawal = Extract<KernelEvent, { on: 'withdraw_cell' }>

export class Mailbox {
  readonly #max: number
  readonly #letters: {
    readonly channel: RequestChannel
    readonly client: Client
    readonly message: IncomingMessage
  }[] = []
  /** What of it was taken back: the next process answers it too. */
  readonly #withdrawn: Withdrawal[] = []

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#letters.length
  }

  /** False if there is no room: then it is not kept. */
  put(channel: RequestChannel, client: Client, message: IncomingMessage): boolean {
    if (this.#letters.length >= this.#max) return false
    this.#letters.push({ channel, client, message })
    return true
  }

  withdraw(client: Client, id: string): void {
    if (!this.#letters.some(({ message }) => message.header.msg_id === id)) return
    this.#withdrawn.push({ on: 'withdraw_cell', client, id })
  }

  /** All that waits, in order, as events. */
  take(): KernelEvent[] {
    const letters = this.#letters.splice(0).map((letter) => ({ on: 'message', ...letter }) as const)
    return [...letters, ...this.#withdrawn.splice(0)]
  }

  clear(): void {
    this.#letters.length = 0
    this.#withdrawn.length = 0
  }
}
