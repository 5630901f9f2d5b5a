/** Which kernels nobody seems to need any more. */

import type { ExecutionState } from './activity.js'

export interface CullSettings {
  /** Seconds without activity; 0: nothing is culled for being idle. */
  readonly idleTimeoutS: number
  /** Also kernels that somebody is connected to. */
  readonly connected: boolean
  /** Also kernels that run something. */
  readonly busy: boolean
}

export interface CullFacts {
  readonly executionState: ExecutionState
  /** Milliseconds since the epoch. */
  readonly lastActivity: number
  readonly connections: number
  /** What its kernelspec says in the place of `idleTimeoutS`, or null. */
  readonly idleTimeoutS: number | null
}

/** Is it to be ended? `now`: milliseconds since the epoch. Dead ones are, as soon as anything is culled at all. */
export function isToCull(kernel: CullFacts, settings: CullSettings, now: number): boolean {
  const timeoutS = kernel.idleTimeoutS ?? settings.idleTimeoutS
  if (timeoutS <= 0) return false
  if (kernel.executionState === 'dead') return true
  if (now - kernel.lastActivity <= timeoutS * 1000) return false
  const isWorking = kernel.executionState !== 'idle'
  return (settings.busy || !isWorking) && (settings.connected || kernel.connections === 0)
}
