/**
 * What happens in one execution, for those who follow it: the latest is kept for whoever comes back.
 *
 * An event has the number of the kernel's message that it tells of, doubled, and what no message tells the one behind it.
 * So a later process of the gateway, which makes the events anew out of the kernel's journal, gives them the same ones.
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
  /** Number of the last event that is not kept any more. */
  #gone = 0
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

  /** `seq`: number of the kernel's message that says so; absent: none does. */
  add(event: string, data: string, seq?: number): void {
    this.#latest = Math.max(this.#latest + 1, 2 * (seq ?? 0))
    const added = { id: this.#latest, event, data }
    this.#kept.push(added)
    this.#bytes += data.length
    let drop = 0
    while (this.#bytes > this.#bytesMax) this.#bytes -= this.#kept[drop++]?.data.length ?? this.#bytes
    if (drop > 0) this.#gone = this.#kept.splice(0, drop).at(-1)?.id ?? this.#gone
    for (const listener of this.#listeners) listener(added)
  }

  /** What came after the event of that number; null: some of it is not kept any more, or it never was. */
  since(id: number): readonly FeedEvent[] | null {
    return id < this.#gone || id > this.#latest ? null : this.#kept.filter((event) => event.id > id)
  }

  /** What was told up to this message is not known any more. */
  forget(seq: number): void {
    this.#gone = Math.max(this.#gone, 2 * seq + 1)
    this.#latest = Math.max(this.#latest, this.#gone)
  }

  /** Returns how to stop listening. */
  listen(listener: (event: FeedEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
