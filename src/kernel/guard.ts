/**
 * The guard: a frozen copy of the worker after each cell. So the kernel can go back over its last cells (`undo`), and a
 * worker that dies costs no more than the cell that it died in (`recovery`).
 *
 * Theory of operation. A *moment* is a copy, with the cells that led to it from the moment before. `past` holds them,
 * oldest first; what was undone stands in `future`, nearest first. The worker freezes the copy right behind a cell's
 * reply, while the client takes its turn. `present` says what the newest moment is worth: it may show the present, it
 * may be out of date since something changed the state without a cell (a comm message, a task of the user's), or cells
 * may have run since. Out of date, it is replaced before the next cell, or when the kernel has been at rest for a while.
 */

import { SavepointError } from '../errors.js'
import type { SnapshotPermit } from '../link/protocol.js'
import { isMagicAlone } from './magic-cells.js'
import { run, waitFor } from './operation.js'
import { command, log } from './send.js'
import { discard, PAGES_OF_ANY_COPY, permit, type Snapshot, type TakenOutcome } from './snapshots.js'
import type { Cell, KernelState } from './state.js'

export type GuardPhase = 'off' | 'on' | 'stepped_back'
export type GuardCue = 'turn_on' | 'turn_off' | 'step_back' | 'come_back'

export const GUARD_TRANSITIONS = {
  off: { turn_on: 'on', turn_off: 'off' },
  on: { turn_on: 'on', turn_off: 'off', step_back: 'stepped_back' },
  stepped_back: { turn_on: 'on', turn_off: 'off', come_back: 'on' },
} as const satisfies Record<GuardPhase, Partial<Record<GuardCue, GuardPhase>>>

/** Why there is no copy. */
export type Skipped = 'off' | 'pressure' | 'unsafe' | 'unchanged'

/**
 * What the newest moment is of the present: `frozen`, just that; `live`, the same, but something of the user's goes on;
 * `stale`, the same cells, but something has changed since; `behind`, cells have run since.
 */
export type Present = 'frozen' | 'live' | 'stale' | 'behind'

export interface Moment {
  /** Id of the copy. */
  readonly snapshot: string
  /** Numbers of the cells that led here from the moment before. */
  readonly cells: readonly number[]
}

/** A moment that the worker was told to freeze. */
export interface PendingMoment extends Moment {
  /** It takes the place of the newest one: nothing that counts lies between the two. */
  readonly replaces: boolean
}

export interface Guard {
  phase: GuardPhase
  past: Moment[]
  future: Moment[]
  pending: PendingMoment[]
  present: Present
  /** Numbers of the cells that have run since the newest moment, those to come included. */
  cells: number[]
  /** What the latest copy took, in milliseconds; null: there was none yet. */
  latestMs: number | null
  /** The last attempt failed: not again before the next cell. */
  failed: boolean
  /** When the present became stale, if somebody waits for the kernel to come to rest. */
  settling: { since: number } | null
  /** Cells to come that are not copied, and how many it will be the next time. */
  skip: number
  skipNext: number
  /** Pages that were written to or made since the copies were weighed. */
  faults: number
  isWeighing: boolean
  /** The user was told that it steps back. */
  hasSaidSo: boolean
}

/** `isFork`: its first worker has a state already, of which there is no copy. */
export function newGuard(on: boolean, isFork: boolean): Guard {
  return {
    phase: on ? 'on' : 'off',
    past: [],
    future: [],
    pending: [],
    present: isFork ? 'stale' : 'behind',
    cells: [],
    latestMs: null,
    failed: false,
    settling: null,
    skip: 0,
    skipNext: 0,
    faults: 0,
    isWeighing: false,
    hasSaidSo: false,
  }
}

/** Moves the guard on in its life. Throws `internal` for an illegal move. */
export function cueGuard(guard: Guard, by: GuardCue): void {
  const table: Partial<Record<GuardCue, GuardPhase>> = GUARD_TRANSITIONS[guard.phase]
  const to = table[by]
  if (to === undefined) throw new SavepointError('internal', `A guard that is ${guard.phase} cannot take '${by}'.`)
  guard.phase = to
}

// --------------------------------------------------------------------------------------------------- around a cell

/** What a cell's request says of the guard. */
export interface CellPermits {
  readonly refresh?: SnapshotPermit
  readonly guard?: SnapshotPermit
}

/** The copies before and behind a cell that is about to be handed to the worker. `wrapped`: it has a policy of its own. */
export function guardCell(state: KernelState, cell: Cell, wrapped: boolean): CellPermits {
  const { guard } = state
  if (guard.phase === 'off') return {}
  const counts = cell.stored && !isMagicAlone(cell.code)
  const runs = cell.code.trim() !== '' && (counts || !cell.stored)
  cell.guard = skips(state)
  guard.failed = false
  const refresh = cell.guard === null ? refreshed(state) : undefined
  if (runs && cell.guard !== null) state.effects.push({ do: 'count', what: 'copies_skipped' })
  if (!runs) {
    cell.guard ??= 'unchanged'
    return refresh ? { refresh } : {}
  }
  if (counts) forget(state, guard.future)
  guard.cells.push(...(counts ? [cell.count] : []))
  const behind = guard.present === 'behind' || counts || guard.past.length + guard.pending.length === 0
  guard.present = behind ? 'behind' : 'stale'
  // One that may be rolled back is copied when that is decided.
  const after =
    cell.guard === null && !wrapped ? allow(state, cell.stored ? cell.count : state.executionCount) : undefined
  if (guard.failed) cell.guard = 'pressure'
  return { ...(refresh ? { refresh } : {}), ...(after ? { guard: after } : {}) }
}

/** Why the next cell is not copied; null: it is. */
function skips(state: KernelState): Skipped | null {
  const { guard } = state
  if (state.debugging.attached) return 'unsafe'
  if (guard.phase !== 'stepped_back') return null
  guard.skip -= 1
  if (guard.skip >= 0) return 'pressure'
  cueGuard(guard, 'come_back')
  return null
}

/** Permits a copy of the present, unless there is one. */
function refreshed(state: KernelState): SnapshotPermit | undefined {
  return state.guard.present === 'frozen' ? undefined : allow(state)
}

/** Permits a copy; once it is frozen the newest moment shows the present. Undefined: there is no room for it. */
function allow(state: KernelState, executionCount = state.executionCount): SnapshotPermit | undefined {
  const { guard } = state
  let allowed: ReturnType<typeof permit>
  try {
    allowed = permit(state, { kind: 'guard', name: null, block: false, executionCount })
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    guard.failed = true
    return undefined
  }
  const replaces = guard.present !== 'behind'
  guard.pending.push({ snapshot: allowed.snapshot.id, cells: guard.cells.splice(0), replaces })
  guard.present = 'frozen'
  return allowed.permit
}

/** Freezes a copy of the present between cells; its id, null if there is no room. */
export function freezeNow(state: KernelState): string | null {
  const allowed = allow(state)
  if (!allowed) return null
  command(state, { kind: 'snapshot', permit: allowed })
  return allowed.snapshot
}

/** A copy of the guard's was frozen, or could not be. */
export function guardTaken(state: KernelState, { snapshot, error }: TakenOutcome): void {
  const { guard } = state
  prune(state)
  const place = guard.pending.findIndex((each) => each.snapshot === snapshot.id)
  const [moment] = place < 0 ? [] : guard.pending.splice(place, 1)
  if (error) {
    log(state, 'warn', 'guard_failed', { message: error.message })
    guard.failed = true
    guard.latestMs = null
    if (moment) notFrozen(guard, moment, place)
    else prune(state)
    return
  }
  if (moment) {
    guard.latestMs = snapshot.ms
    guard.faults += PAGES_OF_ANY_COPY
    state.effects.push({ do: 'count', what: 'copies_taken' })
    const before = moment.replaces ? guard.past.pop() : undefined
    guard.past.push({ snapshot: snapshot.id, cells: [...(before?.cells ?? []), ...moment.cells] })
    if (before)
      discard(
        state,
        [state.snapshots.get(before.snapshot)].flatMap((each) => each ?? []),
      )
    keepWithin(state)
  }
  if (snapshot.live && guard.present === 'frozen' && guard.pending.length === 0) guard.present = 'live'
}

/** Its cells are those of the moment that comes next. */
function notFrozen(guard: Guard, moment: PendingMoment, place: number): void {
  const next = guard.pending[place]
  if (next) {
    const replaces = next.replaces && moment.replaces
    guard.pending[place] = { ...next, replaces, cells: [...moment.cells, ...next.cells] }
    return
  }
  guard.cells.unshift(...moment.cells)
  if (guard.present !== 'behind') guard.present = moment.replaces ? 'stale' : 'behind'
}

function keepWithin(state: KernelState): void {
  const { guard } = state
  const { guardMomentsMax } = state.options.limits
  const excess = guard.past.length + guard.future.length - guardMomentsMax
  if (excess > 0) forget(state, guard.past.slice(0, Math.min(excess, guard.past.length - 1)))
}

// ------------------------------------------------------------------------------------------- what else may happen

/** Something that may change the state goes on without a cell. */
export function noteChange(state: KernelState): void {
  const { guard } = state
  state.changed = true
  if (guard.phase === 'off' || guard.present === 'behind') return
  guard.present = 'stale'
  guard.failed = false
  if (guard.settling) guard.settling.since = state.now
}

/** A step of its own that is no cell, such as a restored checkpoint. */
export function noteStep(state: KernelState): void {
  if (state.guard.phase !== 'off') state.guard.present = 'behind'
}

/** Called after each event: what is out of date is frozen anew when the kernel is at rest. */
export function guardAtRest(state: KernelState): void {
  const { guard, worker } = state
  if (guard.phase !== 'on' || guard.failed || guard.pending.length > 0) return
  if (state.phase !== 'idle' || state.turn !== null || !worker?.pid || state.debugging.attached) return
  if (guard.present === 'behind' && guard.past.length > 0) freezeNow(state)
  else if (guard.present === 'stale' && guard.settling === null) settle(state)
}

function settle(state: KernelState): void {
  const settling = { since: state.now }
  state.guard.settling = settling
  waitForRest(state, settling)
}

/** Waits anew, in a state that was written down; false: nobody did. */
export function resettle(state: KernelState): boolean {
  if (state.guard.settling) waitForRest(state, state.guard.settling)
  return state.guard.settling !== null
}

function waitForRest(state: KernelState, settling: { readonly since: number }): void {
  const { guard } = state
  const { guardSettleMs } = state.options.limits
  run(state, waitFor<void>('guard_rest', guardSettleMs), () => {
    guard.settling = null
    if (state.phase !== 'idle' || state.turn !== null || guard.present !== 'stale') return
    // It has changed meanwhile: `guardAtRest`, which follows, waits again.
    if (state.now - settling.since >= guardSettleMs && guard.phase === 'on' && state.worker?.pid) freezeNow(state)
  })
}

/**
 * The worker goes, or has gone, and another one takes its place: what it was to freeze is not frozen, but for what the
 * other one is told by the request `goingOn`, which runs in it.
 */
export function abandonPending(state: KernelState, goingOn: number | null = null): void {
  const { guard } = state
  for (const moment of guard.pending.splice(0)) {
    const snapshot = state.snapshots.get(moment.snapshot)
    if (snapshot && goingOn !== null && snapshot.seq === goingOn) guard.pending.push(moment)
    else {
      guard.cells.push(...moment.cells)
      if (!moment.replaces) guard.present = 'behind'
      // The worker may have frozen it and not lived to tell.
      if (snapshot) discard(state, [snapshot])
    }
  }
}

/** The kernel is back where `snapshot`, which is none of the guard's, was frozen. */
export function guardRolledBack(state: KernelState, { executionCount }: Snapshot): void {
  const { guard } = state
  if (guard.phase === 'off') return
  prune(state)
  guard.cells = guard.cells.filter((count) => count <= executionCount)
  guard.failed = false
  // A cell that goes on is copied at its end.
  if (guard.pending.length > 0) guard.present = 'frozen'
  else guard.present = guard.cells.length > 0 || guard.past.length === 0 ? 'behind' : 'stale'
}

/** The worker that follows begins with nothing. */
export function guardBeginsAnew(state: KernelState): void {
  const { guard } = state
  abandonPending(state)
  forget(state, [...guard.past, ...guard.future])
  guard.cells = []
  guard.present = 'behind'
}

/** Copies that are gone, whoever ended them, are moments no more: their cells count with those after them. */
export function prune(state: KernelState): void {
  const { guard } = state
  const left: number[] = []
  const there = ({ snapshot, cells }: Moment): Moment[] => {
    if (!state.snapshots.has(snapshot)) {
      left.push(...cells)
      return []
    }
    return [{ snapshot, cells: [...left.splice(0), ...cells] }]
  }
  if (guard.past.some(({ snapshot }) => !state.snapshots.has(snapshot))) {
    const first = guard.past[0]?.snapshot
    const newest = guard.past.at(-1)?.snapshot
    guard.past = guard.past.flatMap(there)
    if (guard.past.at(-1)?.snapshot !== newest) {
      guard.cells.unshift(...left.splice(0))
      guard.present = 'behind'
    }
    // Nothing leads to the oldest one: what came before it cannot be undone.
    if (guard.past[0] && guard.past[0].snapshot !== first) guard.past[0] = { ...guard.past[0], cells: [] }
  }
  left.length = 0
  guard.future = guard.future.flatMap(there)
}

/** Gives up these moments. */
export function forget(state: KernelState, moments: readonly Moment[]): void {
  if (moments.length === 0) return
  discard(
    state,
    moments.flatMap(({ snapshot }) => state.snapshots.get(snapshot) ?? []),
  )
  prune(state)
}

// ------------------------------------------------------------------------------------------------------- on and off

/** Turns the guard on or off. */
export function setGuard(state: KernelState, on: boolean): void {
  const { guard } = state
  cueGuard(guard, on ? 'turn_on' : 'turn_off')
  if (on) {
    guard.skip = guard.skipNext = 0
    return
  }
  guardBeginsAnew(state)
  guard.latestMs = null
}

export function undoDepth(state: KernelState): number {
  prune(state)
  const { past, pending, present } = state.guard
  const moments = past.length + pending.filter(({ replaces }) => !replaces).length
  return present === 'behind' ? moments : Math.max(0, moments - 1)
}

/** The `guard` of a reply: the copy is taken behind it, so it tells of the latest one. */
export function guardReport({ guard }: KernelState, cell: Cell | undefined): object {
  if (guard.phase === 'off') return { taken: false, skipped: 'off' satisfies Skipped }
  const skipped = cell ? cell.guard : 'unchanged'
  if (skipped !== null) return { taken: false, skipped }
  return guard.latestMs === null ? { taken: false, skipped: 'unsafe' } : { taken: true, ms: guard.latestMs }
}
