/**
 * What transactions do outside of the process: noted by the worker while one is open, undone by the copy that is woken.
 *
 * The copy undoes it by itself, since only it knows what was noted since it was frozen; here it is only waited for.
 */

import type { ExternalEffect, SnapshotPermit } from '../link/protocol.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import type { Snapshot, SnapshotKind } from './snapshots.js'
import type { KernelState } from './state.js'

export interface Undone {
  readonly effects: readonly ExternalEffect[]
  readonly limits: readonly string[]
}

/** Whether a copy that is frozen now will have something to undo: a transaction begins with it, or is open. */
export function isRecorded(state: KernelState, kind: SnapshotKind): boolean {
  return state.options.records !== null && (beginsRecording(kind) || state.transactions.length > 0)
}

/** What the permit of such a copy says of it. The guard's copies begin nothing. */
export function recordingOf(state: KernelState, { kind }: Pick<Snapshot, 'kind'>): Pick<SnapshotPermit, 'record'> {
  const { records } = state.options
  return records === null || !beginsRecording(kind) ? {} : { record: { ...records, recording: state.recordings } }
}

function beginsRecording(kind: SnapshotKind): boolean {
  return kind === 'begin' || kind === 'savepoint'
}

/** What the process that was woken has undone. Never throws while there is a worker. */
export function* undoneBy(state: KernelState, snapshot: Snapshot): Operation<Undone> {
  if (!snapshot.recorded) return NOTHING
  try {
    return yield* waitFor<Undone>(`undone:${snapshot.id}`, state.options.limits.undoMs)
  } catch (error) {
    if (state.phase === 'stopping' || state.worker === null) throw error
    return { effects: [], limits: ['files, of which the worker did not say in time whether they were put back'] }
  }
}

/** No transaction is open any more. */
export function recordNothing(state: KernelState): void {
  if (state.options.records === null || state.worker === null) return
  command(state, { kind: 'effects', record: false, recording: state.recordings })
  state.recordings += 1
}

/** A fresh process has taken the place of the one that records: what an outer transaction cannot undo from here on. */
export function recordedNoMore(state: KernelState): readonly string[] {
  if (state.options.records === null || state.transactions.length === 0) return []
  return ['files that are changed before the open transaction ends, which its rollback does not put back']
}

/** What a line about a rollback says of it. */
export function undoneWords(effects: readonly ExternalEffect[]): string {
  const files = effects.filter(({ kind }) => kind === 'file_written' || kind === 'file_removed')
  const restored = files.filter((each) => each.restored).length
  const words = [
    counted(restored, 'file', 'files', ' restored'),
    counted(files.length - restored, 'file', 'files', ' not restored'),
    counted(effects.length - files.length, 'other effect', 'other effects', ' left'),
  ]
  return words.map((each) => each && `; ${each}`).join('')
}

function counted(count: number, one: string, many: string, what: string): string {
  return count === 0 ? '' : `${count} ${count === 1 ? one : many}${what}`
}

const NOTHING: Undone = { effects: [], limits: [] }
