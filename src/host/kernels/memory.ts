/**
 * The memory that a kernel uses, for its model. Measuring takes a while where there is much of it, and lists must cost
 * nothing: whoever asks is told what was measured last, and has it measured again if that is long ago.
 */

import type { Clock } from '../../clock.js'
import type { KernelFacts } from '../../kernel/facts.js'
import type { UsagePort } from '../ports.js'
import type { Turns } from './turns.js'

/** Names as on the wire; null: not measured yet, or there is no process. */
export interface Memory {
  readonly memory_bytes: number | null
  readonly snapshot_bytes: number | null
}

const UNKNOWN: Memory = { memory_bytes: null, snapshot_bytes: null }

export class MemoryMeter {
  readonly #usage: UsagePort
  readonly #turns: Turns
  readonly #clock: Clock
  readonly #keepMs: number
  #latest = UNKNOWN
  #measuredAt = -Infinity
  #measuring = false
  /** Of which the latest measurement is. */
  #pid: number | null = null

  constructor(usage: UsagePort, turns: Turns, clock: Clock, keepMs: number) {
    this.#usage = usage
    this.#turns = turns
    this.#clock = clock
    this.#keepMs = keepMs
  }

  get latest(): Memory {
    return this.#latest
  }

  /** Measures soon, unless it was done lately. `facts` null: there is nothing to measure. */
  refresh(facts: KernelFacts | null): void {
    const pid = facts?.worker?.pid ?? null
    if (pid !== this.#pid) {
      this.#pid = pid
      this.#latest = UNKNOWN
      this.#measuredAt = -Infinity
    }
    if (facts === null || pid === null || this.#measuring) return
    if (this.#clock.now() - this.#measuredAt < this.#keepMs) return
    this.#measuring = true
    void this.#turns
      .take(() => this.#usage.measure(pid, facts.frozen))
      .then((usage) => {
        const { kernel_memory, savepoint } = usage as {
          readonly kernel_memory?: number
          readonly savepoint?: { readonly snapshot_bytes?: number }
        }
        this.#measuring = false
        if (pid !== this.#pid) return
        this.#measuredAt = this.#clock.now()
        this.#latest = { memory_bytes: kernel_memory ?? null, snapshot_bytes: savepoint?.snapshot_bytes ?? null }
      })
  }
}
