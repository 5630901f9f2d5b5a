/** What is known of a worker process while it runs. */

import type { WorkerCommand } from '../link/protocol.js'
import type { ReadyWorker } from './backing.js'
import type { Connection } from './connection.js'
import type { Death } from './zygote.js'

/** One worker process, from the news of it to its end. */
export interface Running {
  readonly generation: number
  readonly pid: number
  /** null: it has not dialled in. */
  place: string | null
  connection: Connection | null
  death: Death | null
  /** Why we ended it, if we did because it could not be talked to. */
  why: string | null
  cancel: (() => void) | null
  /** As long as it is not known whether it lived to be leased. */
  trial: Trial | null
}

/** A command, and its parts. */
export type Told = readonly [WorkerCommand, readonly Buffer[]]

/** A ready worker that was leased and has not said so. */
export interface Trial {
  readonly ready: ReadyWorker
  readonly token: string
  /** What it was told meanwhile. */
  readonly told: Told[]
}

export function newRunning(generation: number, pid: number): Running {
  return { generation, pid, place: null, connection: null, death: null, why: null, cancel: null, trial: null }
}

/** Makes a worker read its link although user code holds its main thread. */
export function ring(pid: number): void {
  try {
    process.kill(pid, 'SIGURG')
  } catch {
    // A worker that is gone by now is no error: its death is on its way.
  }
}

/** Why a worker was ended, as the end of a sentence that begins with "since". */
export const BROKEN = 'something wrote to its connection with the kernel'
export const CLOSED = 'something closed its connection with the kernel'
