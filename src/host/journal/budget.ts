/** What the journals of all kernels may hold together: the oldest segment of all goes first. */

export interface BudgetedJournal {
  readonly bytes: number
  /** When its oldest segment that may go was begun, in milliseconds since the epoch; null: none may go. */
  readonly droppable: number | null
  /** Why it is not written; null: it is. */
  readonly failure: object | null
  dropOldest(): void
}

export class JournalBudget {
  readonly #bytesMax: number
  readonly #journals = new Set<BudgetedJournal>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    let sum = 0
    for (const journal of this.#journals) sum += journal.bytes
    return sum
  }

  /** How many cannot be written now. */
  get failed(): number {
    let count = 0
    for (const { failure } of this.#journals) if (failure !== null) count += 1
    return count
  }

  add(journal: BudgetedJournal): void {
    this.#journals.add(journal)
  }

  remove(journal: BudgetedJournal): void {
    this.#journals.delete(journal)
  }

  /** Has the oldest go until all hold no more than that, as far as any may go. */
  keep(): void {
    for (let left = this.bytes - this.#bytesMax; left > 0;) {
      let oldest: BudgetedJournal | null = null
      for (const journal of this.#journals) {
        if (journal.droppable !== null && journal.droppable < (oldest?.droppable ?? Infinity)) oldest = journal
      }
      if (!oldest) return
      const before = oldest.bytes
      oldest.dropOldest()
      left -= before - oldest.bytes
    }
  }
}
