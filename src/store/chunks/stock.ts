/** The folders and the database of one process, opened when they are first needed and again after they failed. */

import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import { bringIntoStep } from '../checkpoints/checkpoint-reindex.js'
import type { Database } from '../database.js'
import { exists, openShelf, storageFailure, type Shelf, type Stocked } from '../checkpoints/shelf.js'
import { closeUnfinishedFolder } from '../unfinished-files.js'

export interface StockOptions {
  readonly dataDir: string
  readonly log: Log
  readonly clock: Clock
  /** Makes the data folder and opens its database; may be called again after it failed. */
  readonly openDatabase: () => Promise<Database>
  /** Called whenever files and tables were brought into step. */
  readonly opened: () => void
}

export class Stock {
  readonly #options: StockOptions
  #shelf: Promise<Shelf> | null = null
  /** The database that the files were compared with, and its generation then. */
  #indexed: { readonly database: Database; readonly generation: number; readonly done: Promise<void> } | null = null

  constructor(options: StockOptions) {
    this.#options = options
  }

  /** The folders alone. Throws `storage_failed`. */
  async shelf(): Promise<Shelf> {
    const { dataDir, log, clock } = this.#options
    const before = this.#shelf
    const open = await before
    // Somebody removed the data folder: what is there now is looked at anew.
    if (open && !(await exists(open.unfinishedFolder)) && this.#shelf === before) this.#shelf = null
    // Remembered only while it succeeds, so that a folder that was put right is used without a restart.
    this.#shelf ??= openShelf(dataDir, log, clock).catch((error: unknown) => {
      this.#shelf = null
      throw storageFailure(error, dataDir)
    })
    return await this.#shelf
  }

  /** Folders and database, its tables in step with the files that were there when it was opened. Throws `storage_failed`. */
  async stocked(): Promise<Stocked> {
    const database = await this.#options.openDatabase()
    const shelf = await this.shelf()
    const { generation } = database
    if (this.#indexed?.database !== database || this.#indexed.generation !== generation) {
      const done = bringIntoStep({ shelf, database }).then(this.#options.opened)
      this.#indexed = { database, generation, done }
    }
    try {
      await this.#indexed.done
    } catch (error) {
      this.#indexed = null
      throw storageFailure(error, shelf.folder)
    }
    return { shelf, database }
  }

  async close(): Promise<void> {
    const shelf = await this.#shelf?.catch(() => null)
    if (shelf) await closeUnfinishedFolder(shelf.unfinishedFolder)
  }
}
