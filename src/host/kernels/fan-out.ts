/**
 * One kernel's messages to any number of clients: publications to all, answers to the one that asked.
 *
 * A request goes into the kernel with the name of its attachment as the first routing frame, so an answer finds its way
 * without anything being remembered for it, also after the process that asked has gone.
 *
 * A client that cannot keep up holds the kernel up for a while: that is how an output that is faster than a network
 * reaches everybody whole. One that takes nothing for `holdMaxMs` does so no more, unless it was attached as patient.
 */

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.js'
import type { Client } from '../../kernel/effects.js'
import type { Log } from '../../log.js'
import type { IncomingMessage, RequestChannel } from '../../wire/message.js'
import type { ClientPort } from '../ports.js'
import type { Attachment, AttachOptions, KernelClient } from './ports.js'

export interface FanOutParts {
  readonly clock: Clock
  readonly log: Log
  readonly holdMaxMs: number
  readonly onMessage: (channel: RequestChannel, client: Client, message: IncomingMessage) => void
  /** A client takes back the cell that it sent with that msg_id. */
  readonly onWithdraw: (client: Client, messageId: string) => void
  /** Nobody holds the other end of a client any more. */
  readonly onGone: (client: Client) => void
  /** Somebody is behind, or nobody any more. */
  readonly onHeld: (held: boolean) => void
}

interface Attached {
  readonly client: KernelClient
  readonly counted: boolean
  /** Cancels the deadline of one that is behind; null: it keeps up. */
  behind: (() => void) | null
}

export class FanOut implements ClientPort {
  readonly #parts: FanOutParts
  readonly #attached = new Map<string, Attached>()
  /** Names that no other process of the gateway gives away. */
  readonly #names = randomBytes(8).toString('hex')
  #named = 0
  #holding = 0

  constructor(parts: FanOutParts) {
    this.#parts = parts
  }

  /** Clients that count as connections. */
  get connections(): number {
    let count = 0
    for (const { counted, client } of this.#attached.values()) if (counted && client.away !== true) count += 1
    return count
  }

  get held(): boolean {
    return this.#holding > 0
  }

  attach(client: KernelClient, options: AttachOptions = {}): Attachment {
    const { counted = true, patient = false, withdraws = false, leaves = false, misses = false } = options
    const key = options.key ?? `${this.#names}-${(this.#named += 1)}`
    const first = Buffer.from(key)
    const traits = {
      ...(withdraws ? { withdraws } : {}),
      ...(leaves ? { leaves } : {}),
      ...(misses ? { misses } : {}),
    }
    const attached: Attached = { client, counted, behind: null }
    this.#attached.set(key, attached)
    const isHere = (): boolean => this.#attached.get(key) === attached
    return {
      send: (channel, message, routing = []) => {
        if (!isHere()) return
        this.#parts.onMessage(channel, { routing: [first, ...routing], ...traits }, message)
      },
      withdraw: (messageId) => {
        if (isHere()) this.#parts.onWithdraw({ routing: [first] }, messageId)
      },
      fallenBehind: () => this.#fallenBehind(key, attached, patient),
      caughtUp: () => this.#letGo(attached),
      gone: () => {
        if (isHere()) this.#parts.onGone({ routing: [first] })
      },
      detach: (isGone = true) => {
        if (isHere()) {
          this.#attached.delete(key)
          if (leaves && isGone) this.#parts.onGone({ routing: [first] })
        }
        this.#letGo(attached)
      },
    }
  }

  publish(topic: string, frames: readonly Buffer[], seq: number): void {
    for (const { client } of this.#attached.values()) this.#attempt(() => client.publish(topic, frames, seq))
  }

  reply(channel: RequestChannel, { routing }: Client, frames: readonly Buffer[], seq: number): void {
    const [first, ...rest] = routing
    // One that has detached is no error.
    const attached = this.#attached.get(String(first))
    if (attached) this.#attempt(() => attached.client.reply(channel, rest, frames, seq))
  }

  notice(what: 'restarted' | 'ended'): void {
    for (const { client } of [...this.#attached.values()]) this.#attempt(() => client.notice(what))
    if (what !== 'ended') return
    for (const attached of this.#attached.values()) this.#letGo(attached)
    this.#attached.clear()
  }

  /** A client that fails must not take the others along. */
  #attempt(act: () => void): void {
    try {
      act()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#parts.log('error', 'client_failed', { message })
    }
  }

  #fallenBehind(key: string, attached: Attached, patient: boolean): void {
    if (attached.behind !== null || attached.client.away === true || this.#attached.get(key) !== attached) return
    const { clock, holdMaxMs, log } = this.#parts
    const giveUp = (): void => {
      log('warn', 'client_too_slow', { client: key })
      this.#letGo(attached)
    }
    attached.behind = patient ? () => {} : clock.after(holdMaxMs, giveUp)
    this.#holding += 1
    if (this.#holding === 1) this.#parts.onHeld(true)
  }

  #letGo(attached: Attached): void {
    if (attached.behind === null) return
    attached.behind()
    attached.behind = null
    this.#holding -= 1
    if (this.#holding === 0) this.#parts.onHeld(false)
  }
}
