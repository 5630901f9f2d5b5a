/**
 * SIGINT, as Ctrl-C, until the worker has noticed it: one that comes in the instant before a system call would wait for
 * the end of that call, and `time.sleep(60)` is one.
 */

import type { Clock } from '../clock.js'

export class Interrupter {
  readonly #clock: Clock
  readonly #limits: { readonly interruptRepeatMs: number; readonly interruptsMax: number }
  #cancel: (() => void) | null = null

  constructor(clock: Clock, limits: { readonly interruptRepeatMs: number; readonly interruptsMax: number }) {
    this.#clock = clock
    this.#limits = limits
  }

  interrupt(pid: number): void {
    this.#send(pid, this.#limits.interruptsMax)
  }

  /** The worker noticed it, has finished, or is gone: no need to go on. */
  noticed(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #send(pid: number, times: number): void {
    this.noticed()
    try {
      process.kill(pid, 'SIGINT')
    } catch {
      // A worker that is gone by now is no error: its death is on its way.
      return
    }
    if (times > 1) this.#cancel = this.#clock.after(this.#limits.interruptRepeatMs, () => this.#send(pid, times - 1))
  }
}
