/** What a kernel keeps: its history, and the checkpoints that all kernels of one owner share. */

import { join } from 'node:path'
import type { Clock } from '../clock.js'
import type { Log } from '../log.js'
import { Checkpoints } from './checkpoints/checkpoints.js'
import { Collector } from './chunks/collector.js'
import { prepareDataDir } from './data-dir.js'
import { Database } from './database.js'
import { History } from './history/history.js'
import { storeLimits } from './limits.js'
import { LOCAL_OWNER } from './owner.js'
import type { KeepRules } from './checkpoints/retention.js'
import { Stock } from './chunks/stock.js'
import { Turns } from './turns.js'

export interface StoreOptions {
  /** Absolute; made when something is first kept. */
  readonly dataDir: string
  readonly kernelId: string
  /** Whose kernel it is; default: the local user's. */
  readonly owner?: string
  readonly log: Log
  readonly clock: Clock
  /** Which automatic checkpoints are kept; null: all, as by default. */
  readonly keep?: KeepRules | null
  /** Bytes that the checkpoints of one owner may take; 0: any number, as by default. */
  readonly bytesMax?: number
  /** Lines of a history that will never be kept. */
  readonly onHistoryLost?: (lines: number) => void
}

export interface Store {
  readonly history: History
  readonly checkpoints: Checkpoints
  /** Writes what is pending and lets go of files. Never rejects. */
  close(): Promise<void>
}

/** Stores of many kernels in one process, which share one database: to open one for each takes milliseconds. */
export interface Stores {
  /** `owner` null: of no kernel, and sees what everybody keeps. `session`: see HistoryOptions. */
  of(kernelId: string, owner: string | null, session?: string): Store
  /** To be called when all of the stores are closed. Never rejects. */
  close(): Promise<void>
}

/** Gives a store at once; folder and database are opened when they are first needed, off the path of the first cell. */
export function openStore({ kernelId, owner = LOCAL_OWNER, ...options }: StoreOptions): Store {
  const stores = openStores(options)
  const store = stores.of(kernelId, owner)
  return {
    ...store,
    async close() {
      await store.close()
      await stores.close()
    },
  }
}

export function openStores(options: Omit<StoreOptions, 'kernelId' | 'owner'>): Stores {
  const { dataDir, log, clock, keep = null, bytesMax = 0, onHistoryLost: onLost = () => {} } = options
  const turns = new Turns(storeLimits.readingMax, storeLimits.readingWaitMax)
  const exports = new Turns(storeLimits.exportingMax, 0)
  let opening: Promise<Database> | null = null
  // A failure is not remembered: a folder that was put right is used at the next call.
  const openDatabase = (): Promise<Database> => {
    opening ??= prepareDataDir(dataDir, log)
      .then(() => Database.open(join(dataDir, 'savepoint.sqlite'), log))
      .catch((error: unknown) => {
        opening = null
        throw error
      })
    return opening
  }
  // Whoever comes next removes what an earlier process had no time for.
  const opened = (): void => collector.soon()
  const stock = new Stock({ dataDir, log, clock, openDatabase, opened })
  const collector = new Collector(stock, turns, log, clock)
  return {
    of(kernelId, owner, session) {
      const begun = session === undefined ? {} : { session }
      const history = new History({ ...begun, kernelId, owner: owner ?? LOCAL_OWNER, log, clock, openDatabase, onLost })
      const checkpoints = new Checkpoints({ owner, log, clock, stock, turns, exports, collector, keep, bytesMax })
      return {
        history,
        checkpoints,
        async close() {
          await history.close()
          await checkpoints.close()
        },
      }
    },
    async close() {
      await collector.close()
      await stock.close()
      const database = await opening?.catch(() => null)
      database?.close()
    },
  }
}
