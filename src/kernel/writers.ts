/**
 * Who may write a checkpoint of this kernel: one at a time. Others wait for their turn, as many as there may be; one
 * that is being written can be given up.
 */

import { SavepointError } from '../errors.js'
import type { WriterEvent } from '../link/protocol.js'
import { emitCheckpoint } from './events.js'
import { failWaits, settle, waitFor, type Operation } from './operation.js'
import { clearLine, showLine, type ProgressLine } from './progress-line.js'
import { mint, type KernelState } from './state.js'

export interface Writers {
  /** Somebody has the turn. */
  taken: boolean
  /** The checkpoint that is being written. */
  writing: Writing | null
  /** Keys of those who wait, the first one in front. */
  readonly waiting: string[]
}

export interface Writing {
  readonly checkpoint: string
  readonly record: Readonly<Record<string, unknown>>
  /** Header of the request that it belongs to. */
  readonly parent: Buffer
  /** Somebody was told that it is being written. */
  announced: boolean
  /** Where a cell that waits for it is told how far it is; null: none does. */
  readonly line: ProgressLine | null
}

export function newWriters(): Writers {
  return { taken: false, writing: null, waiting: [] }
}

/** Waits for the turn to write; `freeWriter` gives it back. Throws `queue_full`. */
export function* turnToWrite(state: KernelState): Operation<void> {
  const { writers } = state
  const { writersWaitingMax, checkpointMs } = state.options.limits
  if (!writers.taken) {
    writers.taken = true
    return
  }
  if (writers.waiting.length >= writersWaitingMax) {
    throw new SavepointError(
      'queue_full',
      `${writersWaitingMax} checkpoints of this kernel wait to be written. Wait for one of them.`,
    )
  }
  const key = `writer:${mint(state)}`
  writers.waiting.push(key)
  try {
    yield* waitFor<void>(key, checkpointMs)
  } catch (error) {
    const place = writers.waiting.indexOf(key)
    if (place >= 0) writers.waiting.splice(place, 1)
    throw error
  }
}

/** Nothing is written any more; the turn is still taken. */
export function endWriting(state: KernelState): void {
  const { writers } = state
  if (writers.writing?.line) clearLine(state, writers.writing.line)
  writers.writing = null
}

/** The next one's turn comes. */
export function freeWriter(state: KernelState): void {
  const { writers } = state
  endWriting(state)
  const next = writers.waiting.shift()
  if (next === undefined) writers.taken = false
  else settle(state, next, null)
}

/** A writer says how far it is. */
export function noteProgress(state: KernelState, event: Extract<WriterEvent, { kind: 'writing' }>): void {
  const { writing } = state.writers
  if (writing?.checkpoint !== event.checkpoint) return
  const { done_bytes, total_bytes, variable } = event
  writing.announced = true
  if (writing.line) showLine(state, writing.line, event)
  emitCheckpoint(state, writing.parent, { ...writing.record, progress: { done_bytes, total_bytes, variable } })
}

/** Gives up the checkpoint that is being written; whoever waits for it sees `cancelled`. False: it is another one, or none. */
export function cancelWriting(state: KernelState, checkpoint: string): boolean {
  if (state.writers.writing?.checkpoint !== checkpoint) return false
  const error = new SavepointError('cancelled', 'The checkpoint was given up before it was stored.', { checkpoint })
  failWaits(state, [`forked_writer:${checkpoint}`, `written:${checkpoint}`, `store:seal ${checkpoint}`], error)
  return true
}
