/** When garbage is collected: a while after something was removed, one process at a time. */

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import { reasonOf, removeEmpty, Stopped, sweep } from './collecting.js'
import { dueOwners, giveBack, markDue, ownersOf, takeLease } from './collection-index.js'
import type { Database } from '../database.js'
import { storeLimits } from '../limits.js'
import { rewrite } from './rewriting.js'
import type { Stocked } from '../checkpoints/shelf.js'
import type { Stock } from './stock.js'
import type { Turns } from '../turns.js'

export interface Collected {
  /** Chunks that were forgotten, packs that were removed, packs that were put together with others. */
  readonly chunks: number
  readonly packs: number
  readonly rewritten: number
}

const NOTHING: Collected = { chunks: 0, packs: 0, rewritten: 0 }

export class Collector {
  readonly #stock: Stock
  readonly #turns: Turns
  readonly #log: Log
  readonly #clock: Clock
  readonly #holder = randomBytes(8).toString('hex')
  readonly #running = new Set<Promise<unknown>>()
  #cancelTimer: (() => void) | null = null
  #closed = false

  constructor(stock: Stock, turns: Turns, log: Log, clock: Clock) {
    this.#stock = stock
    this.#turns = turns
    this.#log = log
    this.#clock = clock
  }

  /** Collects in a while what is due then. */
  soon(afterMs: number = storeLimits.collectDelayMs): void {
    if (this.#closed || this.#cancelTimer) return
    this.#cancelTimer = this.#clock.after(afterMs, () => {
      this.#cancelTimer = null
      void this.#track(this.#collectDue())
    })
  }

  /** Collects now; what another process is collecting is left to it. Throws `queue_full`, `storage_failed`. */
  collect(owner: string | null): Promise<Collected> {
    return this.#track(
      this.#turns.take(async () => {
        const stocked = await this.#stock.stocked()
        const owners = owner === null ? await stocked.database.read(ownersOf) : [owner]
        let all = NOTHING
        for (const each of owners) all = sum(all, await this.#collectOf(stocked, each))
        return all
      }),
    )
  }

  /** Ends what is under way where it stands. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    await Promise.allSettled(this.#running)
  }

  async #collectDue(): Promise<void> {
    try {
      await this.#turns.take(async () => {
        const stocked = await this.#stock.stocked()
        for (const owner of await stocked.database.read(dueOwners)) await this.#collectOf(stocked, owner)
      })
    } catch (error) {
      const reason = reasonOf(error)
      if (reason !== null) this.#log('warn', 'collection_failed', { reason })
    }
  }

  async #collectOf(stocked: Stocked, owner: string): Promise<Collected> {
    const { database } = stocked
    const lease = { owner, holder: this.#holder }
    const until = (): number => this.#clock.date().getTime() + storeLimits.collectLeaseMs
    if (!(await database.write((sql) => takeLease(sql, lease, this.#clock.date().getTime(), until())))) return NOTHING
    const stop = (): boolean => this.#closed
    try {
      const chunks = await sweep(stocked, owner, stop)
      const rewritten = await rewrite(stocked, owner, stop)
      const { removed, waiting } = await removeEmpty(stocked, owner)
      if (waiting > 0) await this.#later(database, owner)
      return { chunks, packs: removed, rewritten }
    } catch (error) {
      if (error instanceof Stopped) {
        await database.write((sql) => markDue(sql, owner))
        return NOTHING
      }
      await this.#later(database, owner)
      throw error
    } finally {
      await database.write((sql) => giveBack(sql, lease))
    }
  }

  /** What waits to be removed, or failed, is due again after a while. */
  async #later(database: Database, owner: string): Promise<void> {
    await database.write((sql) => markDue(sql, owner))
    this.soon(storeLimits.packGraceMs + storeLimits.collectDelayMs)
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work)
    const done = (): void => void this.#running.delete(work)
    work.then(done, done)
    return work
  }
}

function sum(a: Collected, b: Collected): Collected {
  return { chunks: a.chunks + b.chunks, packs: a.packs + b.packs, rewritten: a.rewritten + b.rewritten }
}
