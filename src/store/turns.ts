/** Work that reads or hashes much: a few at a time, so that many requests at once do not take all of the process. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { SavepointError } from '../errors.js'

/** Lets other work of the process get its turn: what only waits for SQLite never does. */
export async function yieldTurn(): Promise<void> {
  await nextTurn()
}

export class Turns {
  readonly #atOnce: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(atOnce: number, waitingMax: number) {
    this.#atOnce = atOnce
    this.#waitingMax = waitingMax
  }

  /** Runs `work` when it is its turn. Throws `queue_full`, or what `work` throws. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running += 1
    else {
      if (this.#waiting.length >= this.#waitingMax) {
        const message = 'Too many checkpoints are being read at once. Wait for one of them.'
        throw new SavepointError('queue_full', message)
      }
      // Whoever ends hands its place over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}
