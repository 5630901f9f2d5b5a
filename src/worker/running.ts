/** What is known of a worker process while it runs. */

import type { ReadyWorker } from './backing.js'
import type { Death } from './death.js'
import { WorkerLine, type Told } from './worker-line.js'

/** One worker process, from the news of it to its end. */
export interface Running {
  readonly generation: number
  readonly pid: number
  /** What it dials in with. */
  readonly token: string
  readonly line: WorkerLine
  /** null: it has not dialled in. */
  place: string | null
  /** Counts its connections; what is heard of an earlier one does not count. */
  links: number
  death: Death | null
  /** Why we ended it, if we did because it could not be talked to. */
  why: string | null
  /** Whatever is to happen if it does neither end nor come back. */
  cancel: (() => void) | null
  /** As long as it is not known whether it lived to be leased. */
  trial: Trial | null
  /** The request that is to be interrupted once it is back. */
  interrupt: number | null
}

/** A ready worker that was leased and has not said so. */
export interface Trial {
  readonly ready: ReadyWorker
  readonly token: string
  /** What it was told meanwhile. */
  readonly told: Told[]
}

export function newRunning(generation: number, pid: number, token: string, line = new WorkerLine()): Running {
  const nothing = { place: null, death: null, why: null, cancel: null, trial: null, interrupt: null }
  return { generation, pid, token, line, links: 0, ...nothing }
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
