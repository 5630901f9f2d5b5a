/** What a kernel keeps: its history, and the checkpoints that all kernels of the data folder share. */

import { join } from 'node:path'
import type { Clock } from '../clock.js'
import type { Log } from '../log.js'
import { Checkpoints } from './checkpoints.js'
import { prepareDataDir } from './data-dir.js'
import { Database } from './database.js'
import { History } from './history.js'

export interface StoreOptions {
  /** Absolute; made when something is first kept. */
  readonly dataDir: string
  readonly kernelId: string
  readonly log: Log
  readonly clock: Clock
}

export interface Store {
  readonly history: History
  readonly checkpoints: Checkpoints
  /** Writes what is pending and lets go of files. Never rejects. */
  close(): Promise<void>
}

/** Gives a store at once; folder and database are opened when they are first needed, off the path of the first cell. */
export function openStore(options: StoreOptions): Store {
  const { dataDir, log, clock, kernelId } = options
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
  const history = new History({ kernelId, log, clock, openDatabase })
  const checkpoints = new Checkpoints({ dataDir, log, clock, openDatabase })
  return {
    history,
    checkpoints,
    async close() {
      await history.close()
      await checkpoints.close()
      const database = await opening?.catch(() => null)
      database?.close()
    },
  }
}
