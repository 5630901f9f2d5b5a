/**
 * The kernel's state. It belongs to the step alone: only the files of this folder read or change it, and given the
 * same events it always goes through the same states (ids and tokens are derived from the seed).
 */

import { createHash } from 'node:crypto'
import type { SavepointError } from '../errors.js'
import type { IncomingMessage, OutgoingMessage, RequestChannel } from '../wire/message.js'
import { newDebugging, type Debugging } from './debugger-state.js'
import type { Client, Effect, Head } from './effects.js'
import { next, type Cue, type Phase } from './lifecycle.js'
import type { Ahead } from './ahead.js'
import { newAutoCheckpoints, type AutoCheckpoints } from './auto-checkpoints.js'
import { newComeback, type Comeback } from './comeback.js'
import { openComm, type Comms } from './comms.js'
import type { Fork } from './forks.js'
import type { TransactionReport } from './reply-metadata.js'
import type { Restoring } from './restoring.js'
import type { Snapshot } from './snapshots.js'
import { newGuard, type Guard, type Skipped } from './guard.js'
import type { KernelOptions } from './options.js'
import type { Gathered } from './streams.js'
import type { Stubborn } from './stubborn.js'
import type { Subshell } from './subshells.js'
import { UNMOVED, type Timeline } from './timeline.js'
import type { Transaction } from './transactions.js'
import { newWriters, type Writers } from './writers.js'

export type { KernelLimits, KernelOptions } from './options.js'

/** A client's request from its arrival to its idle. */
export interface Request {
  readonly seq: number
  readonly channel: RequestChannel
  readonly client: Client
  readonly message: IncomingMessage
  /** comm_open, comm_msg or comm_close: it may be served beside a cell. Looked at for all that wait, so it is known. */
  readonly isComm: boolean
  /** It did not come from a client, but is an op that somebody else asked for. */
  readonly op?: OpRequest
  /** Nobody asked: a transaction ends by itself. */
  readonly ending?: Ending
  /** The worker is to be replaced; see `moving`. */
  readonly moves?: true
}

export interface Ending {
  readonly transaction: string
  readonly by: 'rollback' | 'commit'
  readonly reason: 'timeout' | 'requested'
}

export interface OpRequest {
  readonly id: string
  readonly target: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The request being served. There is at most one; all others wait in the queue. */
export interface Turn {
  readonly request: Request
  /** null for anything but a cell. */
  readonly cell: Cell | null
  /** The worker was given the request and has not replied yet. */
  atWorker: boolean
  /** The reply is made, and waits only until all is read that clients had sent before it. */
  answered: boolean
}

/** The cell being run. */
export interface Cell {
  readonly code: string
  readonly count: number
  readonly stored: boolean
  readonly silent: boolean
  readonly stopOnError: boolean
  /** It asks for nothing but to be run. */
  readonly plain: boolean
  /** The transaction that wraps just this cell, if its policy asked for one. */
  transaction: Transaction | null
  /** Its transaction was wished for by `%%transaction`. */
  byMagic: boolean
  /** What it has printed, in stream mode `buffered`; else null. */
  gathered: Gathered | null
  /** The checkpoint that it wished for: what to call it, and what it was then. */
  checkpoint: { readonly name: string | null } | null
  /** What was put back in its course at its own wish, for its reply. */
  undone: TransactionReport | null
  saved: { readonly checkpoint_id: unknown; readonly name: string | null } | null
  /** Why no copy follows it; null: one does. */
  guard: Skipped | null
  /** It was interrupted at its deadline. */
  timedOut: boolean
  readonly warnings: string[]
}

export interface Worker {
  readonly generation: number
  readonly token: string
  /** null until it dialled in. */
  pid: number | null
  /** The snapshot that it was woken from, or null for a fresh one. */
  readonly snapshot: string | null
  /** Libraries that would hang in it, so that its variables are to move to another one. */
  hangs?: readonly string[]
  /** They cannot. */
  stays?: boolean
}

/** Somebody in an operation waits for this event. */
export type Waiter = (result: unknown, error: SavepointError | null) => void

/** Requests that are served one after another: those of the main shell, or those of a subshell. */
export interface Line {
  readonly queue: Request[]
  turn: Turn | null
  /** Comm messages that the worker was given beside the running cell, by their seq, until it says what became of them. */
  readonly beside: Map<number, { readonly request: Request; readonly comm_id: string }>
}

export interface KernelState extends Line {
  readonly options: KernelOptions
  phase: Phase
  /** Time of the event in hand, in milliseconds since the epoch, with fraction. */
  now: number
  readonly effects: Effect[]
  kernelInfo: Buffer | null
  zygote: 'none' | 'starting' | 'warm'
  /** What became of the state of the last process; `lost`: the present one did not grow out of it. */
  lastState: 'to_restore' | 'restoring' | 'done' | 'lost'
  /** Where the state stands among the checkpoints; and where it stood before this process, null until it was asked for. */
  timeline: Timeline
  before: Head | null
  /** Something may have changed the variables since the last checkpoint. */
  changed: boolean
  readonly writers: Writers
  readonly auto: AutoCheckpoints
  restoring: Restoring | null
  /** The kernel is being brought back from a checkpoint. */
  comeback: Comeback | null
  /** What the next cell's reply has to warn of. */
  readonly notices: string[]
  worker: Worker | null
  /** The one that died last, when the present one came up, and how often workers fell at once for no visible reason. */
  lastWorker: Worker | null
  workerSince: number
  falls: number
  /** An interrupt that was not noticed yet, and the worker that was ended for it. */
  stubborn: Stubborn | null
  endedFor: { readonly generation: number; readonly why: string } | null
  generation: number
  /** The first of the queue, as far as the worker has it already. */
  ahead: Ahead | null
  readonly subshells: Map<string, Subshell>
  nextSeq: number
  minted: number
  executionCount: number
  /** Recent requests by msg_id, oldest first. */
  readonly parents: Map<string, Origin>
  /** Header of the latest cell: parent of output that has none of its own. */
  latestParent: Buffer
  /** Questions on stdin that wait for an answer, oldest first. */
  readonly questions: Question[]
  /** Who sent the latest cell: asked when code without a request of its own wants input. */
  latestClient: Client | null
  readonly comms: Comms
  /** Open transactions, outermost first. */
  readonly transactions: Transaction[]
  /** Those that ended with another one, or were lost: clients have yet to be told. */
  readonly untold: Transaction[]
  readonly snapshots: Map<string, Snapshot>
  readonly guard: Guard
  snapshotsMade: number
  /** Orders of snapshots so far. */
  momentsMade: number
  transactionsMade: number
  /** Forks under way. */
  readonly forks: Map<string, Fork>
  forksMade: number
  /** Recordings of effects that have ended: the number of the present one. */
  recordings: number
  /** Cells sent since the oldest snapshot was frozen: [execution count, raw code]. */
  inputs: (readonly [number, string])[]
  readonly waiters: Map<string, Waiter>
  /** The latest request on control, which user code can ask the worker for, and the generation that was told of it. */
  control: { readonly header: object; toldTo: number } | null
  /** kernel_info_requests that came before the zygote was warm. */
  readonly infoPending: Request[]
  readonly debugging: Debugging
  shutdown: Shutdown | null
}

/** Where something comes from that is to be answered or shown there. */
export interface Origin {
  readonly headerBytes: Buffer
  readonly client: Client
}

export interface Question {
  /** The worker's name for it. */
  readonly id: string
  readonly client: Client
  /** msg_id of the input_request. */
  readonly messageId: string
  /** When it was put, in milliseconds since the epoch, and how. Absent: an earlier release put it. */
  readonly put?: { readonly at: number; readonly message: OutgoingMessage }
  /** It was put once more, and may be answered twice. */
  isTwice?: boolean
}

export interface Shutdown {
  readonly code: number
  readonly restart: boolean
  /** Those who asked, and are to be told as late as possible. */
  readonly requests: Request[]
}

export function newState(options: KernelOptions): KernelState {
  const comms: Comms = new Map()
  for (const [id, target] of options.forked?.comms ?? []) openComm(comms, id, target)
  return {
    options,
    phase: 'starting',
    now: 0,
    effects: [],
    kernelInfo: options.kernelInfo,
    lastState: options.restoreLast ? 'to_restore' : 'done',
    notices: [],
    timeline: options.forked?.timeline ?? UNMOVED,
    before: null,
    // What its parent had done no checkpoint of its own holds.
    changed: options.forked !== undefined,
    writers: newWriters(),
    auto: newAutoCheckpoints(),
    restoring: null,
    // A fork has a state already.
    comeback: options.forked || !options.lost?.head ? null : newComeback(options.lost.head, options.lost.cells),
    zygote: options.lazy ? 'none' : 'starting',
    worker: null,
    lastWorker: null,
    workerSince: 0,
    falls: 0,
    stubborn: null,
    endedFor: null,
    generation: options.generationsBefore ?? 0,
    queue: [],
    turn: null,
    beside: new Map(),
    ahead: null,
    subshells: new Map(),
    nextSeq: 1,
    minted: 0,
    executionCount: options.forked?.executionCount ?? 0,
    parents: new Map(),
    latestParent: Buffer.from('{}'),
    questions: [],
    latestClient: null,
    comms,
    transactions: [],
    untold: [],
    snapshots: new Map(),
    snapshotsMade: 0,
    momentsMade: 0,
    guard: newGuard(options.guard === true, options.forked !== undefined),
    transactionsMade: 0,
    forks: new Map(),
    forksMade: 0,
    recordings: 0,
    inputs: [],
    waiters: new Map(),
    control: null,
    infoPending: [],
    debugging: { ...newDebugging(), info: options.forked?.debugInfo ?? null },
    shutdown: null,
  }
}

/** Moves the kernel on in its life. */
export function cue(state: KernelState, by: Cue): void {
  state.phase = next(state.phase, by)
}

/** An unguessable string that has not been used before. */
export function mint(state: KernelState): string {
  state.minted += 1
  return createHash('sha256').update(`${state.options.seed} ${state.minted}`).digest('hex').slice(0, 32)
}

/** The event's time as it stands in records: ISO 8601, UTC, with fraction and `Z`. */
export function dateOf(state: KernelState): string {
  return new Date(state.now).toISOString()
}

/** What a worker of this generation has yet to be told of the latest request on control. */
export function newsOfControl({ control, generation }: KernelState): { readonly control?: object } {
  if (control === null || control.toldTo === generation) return {}
  control.toldTo = generation
  return { control: control.header }
}

/** Keeps a request's header for what belongs to it later; the oldest goes when there are too many. */
export function rememberParent(state: KernelState, message: IncomingMessage, client: Client): void {
  state.parents.set(message.header.msg_id, { headerBytes: message.headerBytes, client })
  if (state.parents.size > state.options.limits.parentsMax) {
    const oldest = state.parents.keys().next().value
    if (oldest !== undefined) state.parents.delete(oldest)
  }
}

/** The header bytes that publications of ours belong to: those of the request being served, else of the latest cell. */
export function parentOfTurn(state: KernelState): Buffer {
  return state.turn?.request.message.headerBytes ?? state.latestParent
}

/** Texts of cells are kept for as long as there is a snapshot whose copy would need them. */
export function trimInputs(state: KernelState): void {
  if (state.inputs.length === 0) return
  let oldest = Infinity
  for (const { executionCount } of state.snapshots.values()) oldest = Math.min(oldest, executionCount)
  const first = state.inputs.findIndex(([count]) => count > oldest)
  if (first !== 0) state.inputs = first < 0 ? [] : state.inputs.slice(first)
}

/** The header bytes that belong to `id`; those of the latest cell where it is unknown. */
export function parentOf(state: KernelState, id: string | null): Buffer {
  return (id === null ? undefined : state.parents.get(id)?.headerBytes) ?? state.latestParent
}
