/**
 * Where a kernel's state stands in the tree of checkpoints: the one that it grew out of (its *head*), and the branch.
 *
 * A checkpoint that is made becomes the head when its writer was forked, since that is the state it has; a restore moves
 * the head to what was restored. Each frozen copy remembers where it stood, so that a rollback, an undo or a recovery
 * goes back on the timeline as well: what is saved next has the parent that its state really has. Checkpoints that were
 * made in what was undone stay where they are.
 *
 * The store keeps the head, so that the next process of the same kernel goes on there. It is asked when the first
 * checkpoint is made or restored: a kernel without any opens no database for it.
 */

import type { Head } from './effects.js'
import { waitFor, type Operation } from './operation.js'
import { mint, type KernelState } from './state.js'

export interface Timeline {
  /** null: where the kernel stood before this process. */
  readonly at: Head | null
  /** Numbers of the cells that were sent since, newest last; of very many the newest. */
  readonly cells: readonly number[]
}

/** The process has neither made nor restored a checkpoint. */
export const UNMOVED: Timeline = { at: null, cells: [] }
const ROOT: Head = { head: null, branch: 'main' }
const CELLS_MAX = 100

/** Where the kernel stands; the store is asked at most once. Throws what the store does. */
export function* headOf(state: KernelState): Operation<Head> {
  if (state.timeline.at === null && state.before === null) {
    const id = mint(state)
    state.effects.push({ do: 'store', id, call: { call: 'head' } })
    state.before = (yield* waitFor<Head | null>(`store:${id}`, state.options.limits.checkpointMs)) ?? ROOT
  }
  return knownHead(state) ?? ROOT
}

/** The same, as far as it is known without asking. */
export function knownHead({ timeline, before }: KernelState): Head | null {
  return timeline.at ?? before
}

/** The state is that of a checkpoint. `cells`: those that go on behind it. */
export function moveHead(state: KernelState, at: Head, cells: readonly number[] = []): void {
  state.timeline = { at, cells }
}

/** The state is that of a copy that was frozen when it stood there, behind that cell. */
export function goBackTo(state: KernelState, { at, cells }: Timeline, executionCount: number): void {
  const moved = at?.head !== state.timeline.at?.head || at?.branch !== state.timeline.at?.branch
  state.timeline = { at, cells: cells.filter((count) => count <= executionCount) }
  state.changed = true
  if (moved) keepHead(state)
}

/** The state did not grow out of any checkpoint; those to come follow the present head all the same. */
export function beginAnew(state: KernelState): void {
  state.before = knownHead(state)
  state.timeline = UNMOVED
}

/** A cell was sent. */
export function noteCell(state: KernelState, count: number): void {
  const { at, cells } = state.timeline
  if (at !== null) state.timeline = { at, cells: [...cells.slice(1 - CELLS_MAX), count] }
}

/** A checkpoint that was to be the head does not come about: `before` is what it would have followed. */
export function takeBackHead(state: KernelState, checkpoint: string, before: Timeline): void {
  const without = (each: Timeline): Timeline =>
    each.at?.head === checkpoint ? { at: before.at, cells: [...new Set([...before.cells, ...each.cells])] } : each
  state.timeline = without(state.timeline)
  for (const snapshot of state.snapshots.values()) snapshot.timeline = without(snapshot.timeline)
}

/** Has the store keep where the kernel stands, unless it is at a checkpoint that is not stored yet. */
export function keepHead(state: KernelState): void {
  const head = storedHead(state)
  if (head) state.effects.push({ do: 'store', id: mint(state), call: { call: 'set_head', ...head } })
}

function storedHead(state: KernelState): Head | null {
  const known = knownHead(state)
  return known !== null && known.head === state.writers.writing?.checkpoint ? null : known
}
