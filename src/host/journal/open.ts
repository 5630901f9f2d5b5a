/** Journals as kernels get them. */

import type { Clock } from '../../clock.js'
import { config } from '../../config.js'
import type { Log } from '../../log.js'
import { JournalBudget } from './budget.js'
import { KernelJournal } from './journal.js'
import { MemorySegments } from './memory-segments.js'
import type { SegmentLog } from './segment-log.js'

export interface JournalSurroundings {
  readonly clock: Clock
  readonly report: Log
  /** Of one kernel. */
  readonly bytesMax: number
  readonly budget: JournalBudget
}

/** The journal in these segments. An old one is to be recovered before anything is written. */
export function journalIn(log: SegmentLog, { bytesMax, ...surroundings }: JournalSurroundings): KernelJournal {
  const { segmentBytes, replayBytes, replaySteps } = config.journal
  // As much as is there goes a part at a time.
  const limits = { bytesMax, segmentBytes: Math.min(segmentBytes, bytesMax / 8), replayBytes, replaySteps }
  return new KernelJournal({ log, limits, ...surroundings })
}

/** The journal of a kernel that ends with the process. */
export function journalInMemory(clock: Clock, report: Log): KernelJournal {
  const log = new MemorySegments(() => clock.date().getTime())
  return journalIn(log, { clock, report, bytesMax: config.journal.memoryBytesMax, budget: new JournalBudget(Infinity) })
}
