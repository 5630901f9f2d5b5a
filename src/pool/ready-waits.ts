/** Those who wait for all the workers to be ready that are to be. */

import type { Clock } from '../clock.js'
import { SavepointError } from '../errors.js'

export class ReadyWaits {
  readonly #clock: Clock
  readonly #waits = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get any(): boolean {
    return this.#waits.size > 0
  }

  /** Rejects with `timeout`. */
  wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        cancel()
        this.#waits.delete(done)
        resolve()
      }
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#waits.delete(done)
        reject(new SavepointError('timeout', `No worker was ready within ${timeoutMs / 1000} s.`))
      })
      this.#waits.add(done)
    })
  }

  /** They are. */
  end(): void {
    for (const done of this.#waits) done()
  }
}
