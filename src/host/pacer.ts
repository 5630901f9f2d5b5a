/**
 * Merges neighbouring chunks of one stream into one message per few milliseconds.
 *
 * The first chunk after a pause goes out soon, since a person waits for it, but not at once: the lines of a short loop
 * are one output in a notebook's file. What was flushed does not wait for that: whoever flushes wants it to be seen.
 * What follows within the interval is gathered. Anything else that is published
 * first sends what was gathered, so the order stays that of the worker.
 */

import type { Clock } from '../clock.js'
import type { StreamName } from '../kernel/effects.js'

export interface PacerLimits {
  readonly intervalMs: number
  /** How long the first chunk after a pause waits for company. */
  readonly firstMs: number
  /** A gathered message of this size goes out without waiting. */
  readonly bytesMax: number
}

type Publish = (parentBytes: Buffer, content: Buffer) => void

interface Gathered {
  readonly name: StreamName
  readonly parentBytes: Buffer
  readonly chunks: Buffer[]
  bytes: number
}

export class Pacer {
  readonly #clock: Clock
  readonly #limits: PacerLimits
  readonly #publish: Publish
  #gathered: Gathered | null = null
  #sentAt = -Infinity
  #cancel: (() => void) | null = null

  constructor(clock: Clock, limits: PacerLimits, publish: Publish) {
    this.#clock = clock
    this.#limits = limits
    this.#publish = publish
  }

  /** `text` is escaped as the inside of a JSON string. `flushed`: after a pause it goes out at once, and may be empty. */
  add(name: StreamName, parentBytes: Buffer, text: Buffer, flushed = false): void {
    this.makeWay(name, parentBytes)
    if (text.length === 0 && !this.#gathered) return
    this.#gathered ??= { name, parentBytes, chunks: [], bytes: 0 }
    this.#gathered.chunks.push(text)
    this.#gathered.bytes += text.length
    const { intervalMs, firstMs, bytesMax } = this.#limits
    const pauseMs = this.#clock.now() - this.#sentAt
    const waitMs = Math.min(intervalMs, Math.max(flushed ? 0 : firstMs, intervalMs - pauseMs))
    if (waitMs <= 0 || this.#gathered.bytes >= bytesMax) this.flush()
    else this.#cancel ??= this.#clock.after(waitMs, () => this.flush())
  }

  /** Sends what was gathered, if it is not to be merged with text of that stream. */
  makeWay(name: StreamName, parentBytes: Buffer): void {
    const current = this.#gathered
    if (current && (current.name !== name || !current.parentBytes.equals(parentBytes))) this.flush()
  }

  /** Sends what was gathered. */
  flush(): void {
    const gathered = this.#gathered
    if (!gathered) return
    this.#cancel?.()
    this.#cancel = null
    this.#gathered = null
    this.#sentAt = this.#clock.now()
    this.#publish(gathered.parentBytes, Buffer.concat([HEADS[gathered.name], ...gathered.chunks, TAIL]))
  }
}

const HEADS = {
  stdout: Buffer.from('{"name":"stdout","text":"'),
  stderr: Buffer.from('{"name":"stderr","text":"'),
}
const TAIL = Buffer.from('"}')
