/**
 * What happens in one execution, for those who follow it: numbered from 1, the latest kept for whoever comes back.
 */

export interface FeedEvent {
  readonly id: number
  readonly event: string
  /** JSON in one line. */
  readonly data: string
}

export class Feed {
  readonly #kept: FeedEvent[] = []
  readonly #bytesMax: number
  #bytes = 0
  #latest = 0
  readonly #listeners = new Set<(event: FeedEvent) => void>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get latest(): number {
    return this.#latest
  }

  get bytes(): number {
    return this.#bytes
  }

  add(event: string, data: string): void {
    this.#latest += 1
    const added = { id: this.#latest, event, data }
    this.#kept.push(added)
    this.#bytes += data.length
    let drop = 0
    while (this.#bytes > this.#bytesMax) this.#bytes -= this.#kept[drop++]?.data.length ?? this.#bytes
    if (drop > 0) this.#kept.splice(0, drop)
    for (const listener of this.#listeners) listener(added)
  }

  /** What came after the event of that number; null: some of it is not kept any more, or it never was. */
  since(id: number): readonly FeedEvent[] | null {
    const first = this.#latest - this.#kept.length + 1
    return id < first - 1 || id > this.#latest ? null : this.#kept.slice(id - first + 1)
  }

  /** Returns how to stop listening. */
  listen(listener: (event: FeedEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
