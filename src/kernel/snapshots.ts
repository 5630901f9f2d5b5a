/**
 * Frozen copies of the worker: one register, whatever they are for.
 *
 * The kernel permits a copy, the worker freezes it and says so (`taken`); from then on it can be woken, which makes it
 * the worker. One that is to stay usable is woken with another permit: the woken process first freezes a copy of itself
 * again, under the same id and with a new token. So an id stands for a moment, and not for a process.
 *
 * Which permits, wakings and ends are legal is said by one table.
 */

import { SavepointError } from '../errors.js'
import type { SnapshotMode, SnapshotPermit, WorkerEvent } from '../link/protocol.js'
import { workerComms } from './comms.js'
import { command, log } from './send.js'
import { dateOf, mint, trimInputs, type KernelState } from './state.js'
import type { EngineWish } from './terms.js'
import type { Timeline } from './timeline.js'
import { isRecorded, recordingOf } from './undone.js'

/** `permitted`: not frozen yet, or not again. */
export type SnapshotPhase = 'permitted' | 'frozen' | 'gone'
export type SnapshotCue = 'taken' | 'again' | 'woken' | 'lost'

export const SNAPSHOT_TRANSITIONS = {
  permitted: { taken: 'frozen', lost: 'gone' },
  frozen: { again: 'permitted', woken: 'gone', lost: 'gone' },
  gone: {},
} as const satisfies Record<SnapshotPhase, Partial<Record<SnapshotCue, SnapshotPhase>>>

export type SnapshotKind = 'begin' | 'savepoint' | 'guard' | 'move' | 'restore'

/** A moment that the kernel can go back to. */
export interface Snapshot {
  readonly id: string
  readonly kind: SnapshotKind
  /** Of the transaction or savepoint that it belongs to. */
  readonly name: string | null
  /** What the copy dials in with when it is woken. */
  token: string
  phase: SnapshotPhase
  /** Order in which the moments came, once they are frozen: what is later goes when an earlier one comes back. */
  order: number
  /** The request during which it was frozen, or null between requests. */
  readonly seq: number | null
  /** Code goes on from there when it is woken while its cell runs: a `with` block, or a savepoint in one. */
  readonly block: boolean
  /** As it was wished for; without: the process is copied, or nothing. */
  readonly engine?: EngineWish
  /** The last cell that had a number when it was frozen. */
  readonly executionCount: number
  readonly createdAt: string
  /** When it was first frozen, in milliseconds since the epoch; null: not yet. */
  frozenAt: number | null
  /** Something of the user's went on then, so that it may have been out of date soon. */
  live: boolean
  /** Threads and connections of the user's that are in no copy, in words. */
  absent: readonly string[]
  /** Where the state stood among the checkpoints. */
  timeline: Timeline
  /** The worker's comms that were open then. */
  comms: ReadonlySet<string>
  /** Of the frozen process; null: there is none yet. */
  pid: number | null
  /** What freezing it took. */
  ms: number | null
  /** How it comes back, and why so; null: it is not known yet. */
  mode: SnapshotMode | null
  why: string | null
  /** Libraries that would hang in it. */
  hangs: readonly string[]
  /** What it leaves behind when it comes back, in words. */
  limits: readonly string[]
  /** Memory that it alone holds, as last measured. */
  privateBytes: number | null
  /** Whoever is woken from it says what it has undone outside of the process. */
  recorded: boolean
}

export interface SnapshotWish {
  readonly kind: SnapshotKind
  readonly name: string | null
  readonly block: boolean
  /** The last cell that will have a number when it is frozen; without: that of now. */
  readonly executionCount?: number
  readonly engine?: EngineWish
}

/**
 * Allows a copy of the present moment. Throws `snapshot_refused` if there are as many as there may be; the oldest of
 * the guard's are given up before.
 */
export function permit(state: KernelState, wish: SnapshotWish): { snapshot: Snapshot; permit: SnapshotPermit } {
  const { snapshotsMax } = state.options.limits
  if (state.snapshots.size >= snapshotsMax) discard(state, ofGuard(state).slice(0, -1).slice(0, 1))
  const { snapshotBytesMax } = state.options.limits
  while (heldBytes(state) > snapshotBytesMax) {
    const [oldest] = ofGuard(state)
    if (!oldest) break
    discard(state, [oldest])
  }
  if (heldBytes(state) > snapshotBytesMax) {
    throw new SavepointError(
      'snapshot_refused',
      `The snapshots of this kernel hold ${heldBytes(state)} bytes, more than its budget. End a transaction first.`,
      { bytes: heldBytes(state), bytes_max: snapshotBytesMax },
    )
  }
  if (state.snapshots.size >= snapshotsMax) {
    throw new SavepointError(
      'snapshot_refused',
      `This kernel holds ${snapshotsMax} snapshots, its budget. End a transaction first.`,
      { snapshots_max: snapshotsMax },
    )
  }
  state.snapshotsMade += 1
  const snapshot: Snapshot = {
    executionCount: state.executionCount,
    ...wish,
    id: `sn_${state.snapshotsMade}`,
    token: mint(state),
    phase: 'permitted',
    order: nextOrder(state),
    seq: state.turn?.request.seq ?? null,
    createdAt: dateOf(state),
    frozenAt: null,
    live: false,
    absent: [],
    timeline: state.timeline,
    comms: new Set(),
    pid: null,
    ms: null,
    mode: null,
    why: null,
    hangs: [],
    limits: [],
    privateBytes: null,
    recorded: isRecorded(state, wish.kind),
  }
  state.snapshots.set(snapshot.id, snapshot)
  const { engine } = wish
  const allowed = permitFor(state, snapshot)
  return { snapshot, permit: engine === 'auto' || engine === 'objects' ? { ...allowed, engine } : allowed }
}

/** Pages that a copy comes to hold alone, however little the next cell does. */
export const PAGES_OF_ANY_COPY = 1_500
const PAGE_BYTES = 4_096

/** Memory that the copies alone hold, as last measured. */
export function heldBytes({ snapshots }: KernelState): number {
  let bytes = 0
  for (const { privateBytes } of snapshots.values()) bytes += privateBytes ?? 0
  return bytes
}

/** The same, where a copy of the process that was not measured yet counts as what any copy comes to hold. */
export function estimatedBytes({ snapshots }: KernelState): number {
  let bytes = 0
  for (const { pid, privateBytes } of snapshots.values()) {
    bytes += privateBytes ?? (pid === null ? 0 : PAGES_OF_ANY_COPY * PAGE_BYTES)
  }
  return bytes
}

/** Is it a process, which outlives the worker? Else it is what the worker holds of its variables. */
export function isProcess({ mode }: Snapshot): boolean {
  return mode !== 'objects'
}

/** How long a copy may take: one of the process no time, one of the variables as long as they are large. */
export function takenMs(state: KernelState, { engine }: SnapshotPermit): number {
  const { wakeMs, objectsMs } = state.options.limits
  return engine === undefined ? wakeMs : objectsMs
}

/** The guard's frozen copies, oldest first. */
function ofGuard(state: KernelState): Snapshot[] {
  const frozen = [...state.snapshots.values()].filter(({ kind, phase }) => kind === 'guard' && phase === 'frozen')
  return frozen.toSorted((one, other) => one.order - other.order)
}

/** Permits may wait: what counts is when a copy was frozen. */
function nextOrder(state: KernelState): number {
  state.momentsMade += 1
  return state.momentsMade
}

/** It is woken and is to stay usable: the permit for the copy that the woken process makes of itself. */
export function permitAgain(state: KernelState, snapshot: Snapshot): SnapshotPermit {
  move(snapshot, 'again')
  snapshot.token = mint(state)
  snapshot.pid = null
  snapshot.privateBytes = null
  return permitFor(state, snapshot)
}

function permitFor(state: KernelState, snapshot: Snapshot): SnapshotPermit {
  return { snapshot: snapshot.id, token: snapshot.token, ...recordingOf(state, snapshot) }
}

type Taken = Extract<WorkerEvent, { kind: 'taken' }>
export interface TakenOutcome {
  readonly snapshot: Snapshot
  /** Why there is no copy; it is in the register no more. */
  readonly error: SavepointError | null
}

/** The worker froze a copy, or could not. Null if nobody waits for it any more: then it is discarded. */
export function taken(state: KernelState, event: Taken): TakenOutcome | null {
  const snapshot = state.snapshots.get(event.snapshot)
  if (snapshot?.phase !== 'permitted') {
    // It was frozen after we had given up waiting for it; nobody will ever wake it.
    if (event.error === undefined && !snapshot) endCopies(state, [{ id: event.snapshot, mode: event.mode ?? null }])
    return null
  }
  if (event.error !== undefined) {
    drop(state, snapshot)
    return {
      snapshot,
      error: new SavepointError(
        'snapshot_failed',
        event.mode === 'objects'
          ? `The variables could not be copied: ${event.error}. Free memory, then try again.`
          : `The process could not be copied: ${event.error}. Free memory or processes, then try again.`,
      ),
    }
  }
  move(snapshot, 'taken')
  snapshot.pid = event.pid
  snapshot.ms = event.ms
  snapshot.mode = event.mode ?? 'child'
  snapshot.why = event.why ?? null
  snapshot.hangs = event.hangs ?? []
  snapshot.limits = event.limits ?? []
  snapshot.live = event.live === true
  snapshot.absent = event.absent ?? []
  if (snapshot.frozenAt === null) {
    snapshot.frozenAt = state.now
    snapshot.order = nextOrder(state)
    snapshot.timeline = state.timeline
    snapshot.comms = new Set(event.comms ?? workerComms(state.comms))
    // Between its permit and its freezing the last transaction may have ended.
    if (snapshot.kind === 'guard') snapshot.recorded = isRecorded(state, 'guard')
  }
  return { snapshot, error: null }
}

/** Takes it out of the register: it is the worker now, or no more. */
export function drop(state: KernelState, snapshot: Snapshot): void {
  if (snapshot.phase !== 'gone') move(snapshot, 'lost')
  if (state.snapshots.get(snapshot.id) === snapshot) state.snapshots.delete(snapshot.id)
  trimInputs(state)
}

/** Gives up these moments, and ends their processes. */
export function discard(state: KernelState, snapshots: readonly Snapshot[]): void {
  const there = snapshots.filter(({ id }) => state.snapshots.has(id))
  if (there.length === 0) return
  for (const each of there) drop(state, each)
  endCopies(state, there)
}

/** Processes are ended by the zygote; copies of the variables are the worker's to forget, and end with it. */
function endCopies(state: KernelState, copies: readonly Pick<Snapshot, 'id' | 'mode'>[]): void {
  const processes = copies.filter(({ mode }) => mode !== 'objects').map(({ id }) => id)
  if (processes.length > 0) state.effects.push({ do: 'discard', snapshots: processes })
  if (!state.worker?.pid) return
  for (const { id, mode } of copies) if (mode === 'objects') command(state, { kind: 'forget', snapshot: id })
}

/** What was frozen after `snapshot` belongs to a future that does not happen. */
export function discardLater(state: KernelState, snapshot: Snapshot): void {
  const later = [...state.snapshots.values()].filter((each) => each.order > snapshot.order)
  if (later.length > 0) log(state, 'debug', 'snapshots_discarded', { count: later.length })
  discard(state, later)
}

function move(snapshot: Snapshot, by: SnapshotCue): void {
  const table: Partial<Record<SnapshotCue, SnapshotPhase>> = SNAPSHOT_TRANSITIONS[snapshot.phase]
  const to = table[by]
  if (to === undefined) {
    throw new SavepointError('internal', `A snapshot that is ${snapshot.phase} cannot take the cue '${by}'.`)
  }
  snapshot.phase = to
}
