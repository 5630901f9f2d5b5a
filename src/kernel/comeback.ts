/**
 * A kernel whose worker died, and that no frozen copy can bring back: a fresh worker is given the checkpoint that the
 * state grew out of, before anything else is served. If that one cannot be restored it is the one before it, and at last
 * nothing; what is missing is told.
 *
 * Only what this process has made or restored counts: a namespace that a user has emptied by a restart stays empty.
 */

import { SavepointError } from '../errors.js'
import type { LostObject, WorkerEvent } from '../link/protocol.js'
import { store } from './checkpoints.js'
import type { OpenCheckpoint } from './effects.js'
import { waitFor, type Operation } from './operation.js'
import type { Recovery } from './reply-metadata.js'
import { sourceOf } from './restoring.js'
import { command, log } from './send.js'
import { mint, type KernelState } from './state.js'
import { beginAnew, keepHead, moveHead } from './timeline.js'
import { freeWriter, turnToWrite } from './writers.js'

/** A recovery that is under way. */
export interface Comeback {
  /** The checkpoint that the state grew out of. */
  readonly head: string
  /** Ids of the checkpoints to try, best first; null: not known yet. */
  candidates: string[] | null
  /** Numbers of the cells that ran since the first of them. */
  readonly cells: readonly number[]
  readonly failures: string[]
  found: {
    readonly record: OpenCheckpoint['record']
    readonly lost: readonly LostObject[]
    readonly isHead: boolean
  } | null
}

/** What is known of a process that was lost. */
export interface Lost {
  /** The checkpoint that its state grew out of, or null. */
  readonly head: string | null
  /** Numbers of the cells that ran since. */
  readonly cells: readonly number[]
}

/** How many checkpoints are tried. */
const TRIES = 3
const CELLS_TOLD = 20

/** The checkpoint that the state of this kernel can be had from, or null. */
export function comesFrom({ timeline, comeback }: KernelState): string | null {
  return comeback?.head ?? timeline.at?.head ?? null
}

/** The worker that comes next is to be given the state. `dead`: number of the cell in which the last one died. */
export function newComeback(head: string, cells: readonly number[] = [], dead?: number): Comeback {
  return { head, candidates: null, cells: cells.filter((count) => count !== dead), failures: [], found: null }
}

/** Restores into a worker that has just come up. False: this worker is of no use any more, and another one is needed. */
export function* comeBack(state: KernelState): Operation<boolean> {
  const { comeback } = state
  if (comeback === null) return true
  comeback.candidates ??= yield* candidates(state, comeback.head)
  for (let id = comeback.candidates.shift(); id !== undefined; id = comeback.candidates.shift()) {
    const { worker } = state
    let isLoading = false
    try {
      const opened = yield* store<OpenCheckpoint>(state, { call: 'open_checkpoint', checkpoint: id })
      isLoading = true
      const lost = yield* load(state, opened)
      comeback.found = { record: opened.record, lost, isHead: id === comeback.head }
      return true
    } catch (error) {
      if (state.shutdown) throw error
      const { code, message } = error as SavepointError
      comeback.failures.push(`The checkpoint ${id} could not be restored. ${code}: ${message}`)
      log(state, 'error', 'checkpoint_not_recovered', { checkpoint: id, code, message })
      if (!isLoading && state.worker !== null) continue
      // It may be in the middle of it for ever, with half of the names there.
      if (worker?.pid && state.worker === worker) state.effects.push({ do: 'kill', pid: worker.pid })
      return false
    }
  }
  // It may have died while the store was asked.
  return state.worker !== null
}

/** That one, and those before it. */
function* candidates(state: KernelState, head: string): Operation<string[]> {
  // It may be the one that is being written: its writer is a process of its own, and goes on.
  if (state.writers.taken) {
    yield* turnToWrite(state)
    freeWriter(state)
  }
  // If it failed, the head is the one before it.
  const found = [state.timeline.at?.head ?? head]
  try {
    const call = { call: 'list_checkpoints', branch: null, before: null, limit: 1000 } as const
    const { items } = yield* store<{ items: readonly Item[] }>(state, call)
    const parents = new Map(items.map(({ checkpoint_id, parent_id }) => [checkpoint_id, parent_id]))
    for (let id = parents.get(found[0] ?? ''); id && found.length < TRIES; id = parents.get(id)) found.push(id)
  } catch (error) {
    if (state.shutdown) throw error
  }
  return found
}

interface Item {
  readonly checkpoint_id: string
  readonly parent_id: string | null
}

function* load(state: KernelState, opened: OpenCheckpoint): Operation<readonly LostObject[]> {
  if (!state.worker?.pid) throw new SavepointError('kernel_dead', 'The worker died meanwhile.')
  const id = mint(state)
  const { places, parts } = sourceOf(opened)
  // Of the cells before, too: the worker takes the place of the one that is gone.
  const wish = { mode: 'merge', names: null, whole_session: true } as const
  command(state, { kind: 'restore', id, ...places, ...wish }, parts)
  type Restored = Extract<WorkerEvent, { kind: 'restored' }>
  const { error, lost } = yield* waitFor<Restored>(`restored:${id}`, state.options.limits.restoreLastMs)
  if (error) throw new SavepointError('restore_failed', error.message, error.details)
  return lost
}

/** The worker is there, with what could be had: what clients are told. */
export function endComeback(state: KernelState, cause: string): Recovery {
  const { comeback } = state
  state.comeback = null
  const none: Recovery = { cause, restored_from: 'none', lost: [], background_s: 0 }
  if (comeback === null) return none
  state.notices.push(...comeback.failures)
  const { found, cells } = comeback
  if (found === null) {
    beginAnew(state)
    return none
  }
  const { record, lost, isHead } = found
  moveHead(state, { head: record.checkpoint_id, branch: record.branch })
  keepHead(state)
  state.changed = false
  if (isHead) state.lastState = 'done'
  state.notices.push(...lost.map(({ name, reason }) => `'${name}' could not be restored: ${reason}.`))
  const since = isHead ? cells : numbersFrom(record.execution_count + 1, state.executionCount)
  return {
    cause,
    restored_from: 'checkpoint',
    checkpoint: { checkpoint_id: record.checkpoint_id, name: record.name, created_at: record.created_at },
    lost: [...lost.map(({ name }) => name), ...told(since)],
    background_s: 0,
  }
}

function told(cells: readonly number[]): string[] {
  const shown = cells.slice(-CELLS_TOLD).map((count) => `what cell ${count} did`)
  return cells.length > shown.length ? [`what ${cells.length - shown.length} earlier cells did`, ...shown] : shown
}

function numbersFrom(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => first + place)
}
