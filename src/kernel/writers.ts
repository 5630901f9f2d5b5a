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
  /** A writer was done before we heard that it was forked: the two speak on connections of their own. */
  early: WriterEnd | null
}

type WriterEnd = Exclude<WriterEvent, { kind: 'writing' }> & { readonly manifest: Buffer | null }

/** What a writer has written. */
export interface Written {
  readonly write_ms: number
  readonly manifest: Buffer | null
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
  return { taken: false, writing: null, waiting: [], early: null }
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
  writers.early = null
  const next = writers.waiting.shift()
  if (next === undefined) writers.taken = false
  else settle(state, next, null)
}

/** Waits until a writer that was forked is done. Throws `storage_failed`, `timeout`. */
export function* written(state: KernelState, checkpoint: string): Operation<Written> {
  const { writers, options } = state
  const { early } = writers
  writers.early = null
  if (early?.checkpoint === checkpoint) return outcomeOf(early)
  return outcomeOf(yield* waitFor<WriterEnd>(`written:${checkpoint}`, options.limits.checkpointMs))
}

function outcomeOf(end: WriterEnd): Written {
  if (end.kind === 'written') return { write_ms: end.ms, manifest: end.manifest }
  throw new SavepointError('storage_failed', `The checkpoint could not be written: ${end.reason}.`)
}

/** A writer says something. */
export function hearWriter(state: KernelState, event: WriterEvent, parts: readonly Buffer[]): void {
  if (event.kind === 'writing') return noteProgress(state, event)
  const end: WriterEnd = { ...event, manifest: parts[0] ?? null }
  const { checkpoint } = event
  if (!settle(state, `written:${checkpoint}`, end) && state.waiters.has(`forked_writer:${checkpoint}`))
    state.writers.early = end
}

/** It says how far it is. */
function noteProgress(state: KernelState, event: Extract<WriterEvent, { kind: 'writing' }>): void {
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
