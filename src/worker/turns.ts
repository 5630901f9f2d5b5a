/**
 * Work of many connections in slices, so that a worker that prints without a pause holds up nobody else.
 *
 * Reading a socket goes on as long as there is something in it; with what each message costs, a turn of the event loop
 * could take a tenth of a second. Here all connections of a door have `TURN_MS` of a turn together. What is left over is
 * done in the turns after it, one connection after the other.
 */

/** What a request over HTTP may have to wait for, beside what it costs itself. */
const TURN_MS = 2

/** Does one piece of what there is to do; false: that was all. */
export type Work = () => boolean

export class Turns {
  readonly #waiting: Work[] = []
  /** Milliseconds of the monotonic clock; null: nothing was done in this turn yet. */
  #endsAt: number | null = null

  /** Does it at once as far as this turn goes, and the rest later, in which case the answer is false. */
  do(work: Work): boolean {
    if (this.#waiting.length === 0 && this.#slice(work)) return true
    this.#waiting.push(work)
    return false
  }

  /** True: it is done. */
  #slice(work: Work): boolean {
    this.#endsAt ??= this.#begin()
    while (work()) if (performance.now() >= this.#endsAt) return false
    return true
  }

  #begin(): number {
    setImmediate(() => this.#next())
    return performance.now() + TURN_MS
  }

  /** The turn in which work was done is over. Whoever had to wait begins the next one, and the last one comes last. */
  #next(): void {
    this.#endsAt = null
    const left: Work[] = []
    for (let work = this.#waiting.shift(); work; work = this.#waiting.shift()) {
      if (!this.#slice(work)) left.push(work)
      if (this.#endsAt !== null && performance.now() >= this.#endsAt) break
    }
    this.#waiting.push(...left)
  }
}
