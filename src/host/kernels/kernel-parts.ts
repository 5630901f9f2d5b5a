/** What a kernel of a gateway is made of. */

import type { KernelJournal } from '../journal/journal.js'
import type { IncarnationParts, KernelSurroundings } from './incarnation.js'
import type { KernelRecord, KernelRecords } from './kernel-record.js'
import type { Turns } from './turns.js'
import type { ForkOrigin, WorkerNeeds } from './ports.js'

export interface KernelLimitsOfGateway {
  /** For a worker to be there, counted from the request. */
  readonly startMs: number
  /** For a kernel to end in order before it is ended by force: at a restart, at a shutdown. */
  readonly restartGraceMs: number
  readonly endGraceMs: number
  /** How often an incarnation that was lost is replaced within how long. */
  readonly lossesMax: number
  readonly lossesWithinMs: number
  readonly holdMaxMs: number
  /** Messages that may wait for the next incarnation. */
  readonly waitingMax: number
  /** How old a measurement may be before another one is made. */
  readonly measuredMs: number
}

export interface GatewayKernelParts extends KernelSurroundings {
  /** Name of the kernelspec, as it was asked for. */
  readonly name: string
  readonly owner: string
  readonly needs: WorkerNeeds
  readonly guard: boolean
  /** Name or id of the checkpoint that it begins with. */
  readonly checkpoint?: string
  /** Where what is kept of it lies; null: nothing is. */
  readonly folder: string | null
  /** Of all its processes; whoever made it closes it. */
  readonly journal: KernelJournal
  /** It is a fork of another kernel. */
  readonly origin?: ForkOrigin
  /** What an earlier gateway kept of it; absent: it is new. */
  readonly recalled?: KernelRecord
  /** Where it is kept for the gateway that comes after this one; null: nowhere. */
  readonly records: KernelRecords | null
  /** Who may have it again after it was left, as a key; null: nobody. */
  readonly affinity: string | null
  /** Makes kernels of copies of this one. Rejects with a SavepointError; then none is left. */
  readonly fork: IncarnationParts['fork']
  readonly endKernels: IncarnationParts['endKernels']
  readonly onCount: IncarnationParts['onCount']
  readonly kernelLimits: KernelLimitsOfGateway
  /** All kernels measure in turn. */
  readonly turns: Turns
  /** It has ended; it is told once. */
  readonly onEnded: () => void
}
