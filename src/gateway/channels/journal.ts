/**
 * The newest publications of one kernel, for WebSockets that come later: a new session gets the output of the cells that
 * are running, and any may ask for all that there still is, or for what came after a message that it knows.
 *
 * Bounded like what is kept for sessions. It begins with its kernel, whose first client may be a request of REST.
 */

import type { Attachment, KernelClient } from '../../host/kernels/ports.js'
import type { GatewayKernel } from '../ports.js'
import { Kept } from './kept.js'
import type { KeptLimits, KeptMessage, KeptTotal } from './kept.js'

const HEADER = 2
const PARENT = 3
const CONTENT = 5

export class Journal implements KernelClient {
  readonly #kept: Kept
  readonly #attachment: Attachment
  readonly #onEnded: () => void
  /** Requests that are being served, by id. */
  readonly #running = new Set<string>()

  /** Throws what the kernel throws when it cannot be attached to. */
  constructor(kernel: GatewayKernel, limits: KeptLimits, total: KeptTotal, onEnded: () => void) {
    this.#kept = new Kept(limits, total)
    this.#onEnded = onEnded
    this.#attachment = kernel.attach(this, { counted: false })
  }

  publish(topic: string, frames: readonly Buffer[]): void {
    this.#kept.add('iopub', frames)
    if (topic === 'status') this.#noteStatus(frames)
  }

  /** It asks for nothing. */
  reply(): void {}

  notice(what: 'restarted' | 'ended'): void {
    this.#running.clear()
    if (what === 'ended') this.#onEnded()
  }

  /** The output of requests that are being served now. */
  ofRunning(): readonly KeptMessage[] {
    if (this.#running.size === 0) return []
    return this.#kept.all().filter(({ frames }) => this.#running.has(idIn(frames[PARENT])))
  }

  /** All that came after the message with this id, or all that there is if it is not here. */
  after(messageId: string | null): readonly KeptMessage[] {
    const all = this.#kept.all()
    const at = messageId === null ? -1 : all.findIndex(({ frames }) => idIn(frames[HEADER]) === messageId)
    return all.slice(at + 1)
  }

  end(): void {
    this.#kept.clear()
    this.#attachment.detach()
  }

  #noteStatus(frames: readonly Buffer[]): void {
    const id = idIn(frames[PARENT])
    if (id === '') return
    const state = fieldOf(frames[CONTENT], 'execution_state')
    if (state === 'busy') this.#running.add(id)
    else this.#running.delete(id)
  }
}

function idIn(header: Buffer | undefined): string {
  return fieldOf(header, 'msg_id')
}

function fieldOf(bytes: Buffer | undefined, name: string): string {
  try {
    const value = (JSON.parse(bytes?.toString('utf8') ?? '') as Readonly<Record<string, unknown>>)[name]
    return typeof value === 'string' ? value : ''
  } catch {
    return ''
  }
}
