/** Lets a few do their work at a time; the others wait for their turn, in the order in which they asked. */
export class Turns {
  readonly #atOnceMax: number
  readonly #waiting: (() => void)[] = []
  #busy = 0

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy >= this.#atOnceMax) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#busy += 1
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#busy -= 1
    }
  }
}
