/** The newest messages of a kernel that leaves nothing on disk, in memory. */

import type { Channel } from '../../src/wire/message.js'
import type { JournalMessage, MessageJournal, RunningRequest } from '../../src/host/journal/messages.js'

const HEADER = 2
const PARENT = 3
const CONTENT = 5
/** What a message costs beside its bytes. */
const OVERHEAD_BYTES = 512

export class MemoryJournal implements MessageJournal {
  readonly #bytesMax: number
  #messages: JournalMessage[] = []
  /** Index of the oldest that is kept. */
  #head = 0
  #bytes = 0
  #newest = 0
  readonly #running = new Map<string, number>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get newest(): number {
    return this.#newest
  }

  get oldest(): number {
    return this.#messages[this.#head]?.seq ?? this.#newest + 1
  }

  add(message: JournalMessage): void {
    this.#messages.push(message)
    this.#newest = message.seq
    this.#bytes += sizeOf(message)
    if (message.topic === 'status') this.#noteStatus(message)
    this.trim(this.#bytesMax)
  }

  /** Keeps no more than that, but always the newest. */
  trim(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#head < this.#messages.length - 1) this.#removeOldest()
  }

  since(seq: number, bytesMax: number): readonly JournalMessage[] {
    const found: JournalMessage[] = []
    let bytes = 0
    const first = Math.max(0, seq + 1 - this.oldest)
    for (let i = this.#head + first; i < this.#messages.length; i += 1) {
      const message = this.#messages[i]
      if (message === undefined || (found.length > 0 && bytes + sizeOf(message) > bytesMax)) break
      found.push(message)
      bytes += sizeOf(message)
    }
    return found
  }

  ofParent(msgId: string): readonly JournalMessage[] {
    return this.#messages.slice(this.#head).filter(({ frames }) => fieldOf(frames[PARENT], 'msg_id') === msgId)
  }

  seqOf(msgId: string): number | null {
    const found = this.#messages.slice(this.#head).find(({ frames }) => fieldOf(frames[HEADER], 'msg_id') === msgId)
    return found?.seq ?? null
  }

  running(): readonly RunningRequest[] {
    return [...this.#running].map(([msgId, seq]) => ({ msgId, seq }))
  }

  #noteStatus({ frames, seq }: JournalMessage): void {
    const id = fieldOf(frames[PARENT], 'msg_id')
    const state = fieldOf(frames[CONTENT], 'execution_state')
    if (state === 'busy' && id !== '') this.#running.set(id, seq)
    else if (id !== '') this.#running.delete(id)
    // A new process, or none: nothing of before is being served.
    else if (state !== 'idle') this.#running.clear()
  }

  #removeOldest(): void {
    const oldest = this.#messages[this.#head]
    if (oldest) this.#bytes -= sizeOf(oldest)
    this.#head += 1
    if (this.#head * 2 < this.#messages.length) return
    // Moving the rest each time would cost the square of what is kept.
    this.#messages = this.#messages.slice(this.#head)
    this.#head = 0
  }
}

/** A message of a kernel, for its journal. */
export function journalMessage(
  seq: number,
  channel: Channel,
  to: readonly Buffer[] | null,
  topic: string,
  frames: readonly Buffer[],
): JournalMessage {
  const [key, ...routing] = to ?? []
  return { seq, channel, to: to === null ? null : String(key), routing, topic, frames }
}

function sizeOf({ frames }: JournalMessage): number {
  return frames.reduce((sum, { length }) => sum + length, OVERHEAD_BYTES)
}

function fieldOf(bytes: Buffer | undefined, name: string): string {
  try {
    const value = (JSON.parse(bytes?.toString('utf8') ?? '') as Readonly<Record<string, unknown>>)[name]
    return typeof value === 'string' ? value : ''
  } catch {
    return ''
  }
}
