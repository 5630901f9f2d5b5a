/** Chance that repeats itself: the same seed gives the same numbers. */

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed + 1) * 0x9e3779b9
  }

  /** From 0 to below 1. */
  next(): number {
    // Mulberry32: small, fast, and good enough to shuffle events.
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** Whether something happens that happens with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** One of these, all alike. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.next() * choices.length)]
    if (choice === undefined) throw new Error('There is nothing to pick from.')
    return choice
  }
}
