/** What a kernel is told when it begins, and its limits. */

import type { RecordingBounds } from '../link/protocol.js'
import type { CheckpointPolicy } from './auto-checkpoints.js'
import type { Lost } from './comeback.js'
import type { Forked } from './forked.js'

export interface KernelOptions {
  /** The `session` of every message that this kernel process sends. */
  readonly session: string
  /** Secret that ids and tokens are derived from. */
  readonly seed: string
  /** For connect_reply. */
  readonly ports: Readonly<Record<string, number>>
  /** Replace a dead worker (guard's snapshot, else empty) instead of ending with it. */
  readonly recover: boolean
  /** A copy of the worker is frozen after each cell. None if absent. */
  readonly guard?: boolean
  /** What a restart leaves to the next process: keep a warm zygote for it. */
  readonly linger: boolean
  /** Save the namespace at the end, and restore it in the next process of this kernel. */
  readonly restoreLast: boolean
  /** Which checkpoints are made without being asked for, and what none of them holds. */
  readonly checkpoints: CheckpointPolicy
  /** The process before was lost: the checkpoint that its state grew out of, and the cells since. It was not if absent. */
  readonly lost?: Lost
  /** Start Python with the first request that needs it. */
  readonly lazy: boolean
  /** What to answer to kernel_info until Python is up, or null. */
  readonly kernelInfo: Buffer | null
  /** How many workers the kernel had before a restart in the same gateway; none if absent. */
  readonly generationsBefore?: number
  /** Tell clients that there are subshells. */
  readonly offersSubshells: boolean
  /** The host can make kernels of copies of this one; absent: it cannot. */
  readonly forks?: boolean
  /** This kernel is one of these. */
  readonly forked?: Forked
  /** How transactions note what is done outside of the process; null: they do not. */
  readonly records: RecordingBounds | null
  readonly limits: KernelLimits
}

export interface KernelLimits {
  readonly queueLengthMax: number
  readonly subshellsMax: number
  readonly transactionDepthMax: number
  readonly snapshotsMax: number
  /** What the snapshots of one kernel may hold alone. */
  readonly snapshotBytesMax: number
  /** Moments that the guard keeps, and how long a kernel rests before one that is out of date is frozen anew. */
  readonly guardMomentsMax: number
  readonly guardSettleMs: number
  /** A worker that dies so soon, with nothing to do, would die of the same again; how often that is tried. */
  readonly youngMs: number
  readonly fallsMax: number
  /** After which the user is told that an interrupt was not noticed, and after which the worker is ended for it. */
  readonly interruptNoticeMs: number
  readonly interruptGraceMs: number
  readonly parentsMax: number
  readonly handOverMs: number
  readonly wakeMs: number
  readonly objectsMs: number
  readonly forksMax: number
  readonly forkMs: number
  readonly undoMs: number
  readonly stopMs: number
  readonly settleMs: number
  readonly checkpointMs: number
  readonly restoreMs: number
  /** Checkpoints that may wait to be written. */
  readonly writersWaitingMax: number
  /** What may be exported or imported by a message. */
  readonly transferBytesMax: number
  readonly namespaceMs: number
  readonly saveLastMs: number
  /** The same for the automatic checkpoint of an end. */
  readonly saveAtEndMs: number
  readonly restoreLastMs: number
  readonly usageMs: number
  readonly infoPatienceMs: number
  readonly bufferedBytesMax: number
  readonly aheadBytesMax: number
  readonly debuggerUpMs: number
  readonly debugRequestMs: number
  /** The longest that a cell may run, in seconds; 0 or absent: as long as it likes. */
  readonly cellS?: number
}
