/**
 * Kernels that a client has left with the right to have them again: the same worker, with all that is in it.
 *
 * To everybody else such a kernel has ended. It waits for a while, and no more than so many wait; the oldest goes first.
 */

import type { Clock } from '../../clock.js'
import type { GatewayKernel } from './kernel.js'

export interface RestingLimits {
  /** How long one waits; 0: none does. */
  readonly waitMs: number
  readonly kernelsMax: number
}

interface Rested {
  readonly key: string
  readonly kernel: GatewayKernel
  readonly cancel: () => void
}

export class Resting {
  readonly #clock: Clock
  readonly #limits: RestingLimits
  /** Oldest first. */
  readonly #rested = new Map<string, Rested>()

  constructor(clock: Clock, limits: RestingLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  get size(): number {
    return this.#rested.size
  }

  /** Those that wait, oldest first. */
  get kernels(): GatewayKernel[] {
    return [...this.#rested.values()].map(({ kernel }) => kernel)
  }

  /** Lets it wait for whoever asks with `key`. False if it does not wait: then it is for the caller to end it. */
  put(key: string, kernel: GatewayKernel): boolean {
    const { waitMs, kernelsMax } = this.#limits
    if (waitMs === 0 || kernelsMax === 0 || !kernel.rest()) return false
    if (this.#rested.size >= kernelsMax) this.endOldest()
    const cancel = this.#clock.after(waitMs, () => void this.#end(kernel.id))
    this.#rested.set(kernel.id, { key, kernel, cancel })
    return true
  }

  /** The one that waits for `key`, which then is in use again; else undefined. `id`: only that one will do. */
  take(key: string, id: string | null): GatewayKernel | undefined {
    for (const [restedId, rested] of this.#rested) {
      if (rested.key !== key || (id !== null && id !== restedId)) continue
      this.forget(rested.kernel)
      return rested.kernel
    }
    return undefined
  }

  /** It has ended. True if it was resting. */
  forget(kernel: GatewayKernel): boolean {
    const rested = this.#rested.get(kernel.id)
    if (rested?.kernel !== kernel) return false
    rested.cancel()
    return this.#rested.delete(kernel.id)
  }

  /** Makes room. False if none was left. */
  endOldest(): boolean {
    const [oldest] = this.#rested.keys()
    if (oldest === undefined) return false
    void this.#end(oldest)
    return true
  }

  find(id: string): GatewayKernel | undefined {
    return this.#rested.get(id)?.kernel
  }

  async endAll(graceMs?: number): Promise<void> {
    await Promise.all([...this.#rested.keys()].map((id) => this.#end(id, graceMs)))
  }

  async #end(id: string, graceMs?: number): Promise<void> {
    const kernel = this.find(id)
    if (!kernel) return
    this.forget(kernel)
    await kernel.shutdown(graceMs)
  }
}
