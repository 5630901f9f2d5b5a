/**
 * Checkpoints: the steps of writing one.
 *
 * A forked copy of the worker, the *writer*, writes the namespace to files, so that the kernel is held up for the fork
 * alone; the store then signs them and keeps them. One writer at a time is at work for a kernel: who wants another one
 * waits for its end (see `writers`).
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { refuseWhileDebugged } from './debugger-state.js'
import type { CheckpointDraft, Head } from './effects.js'
import { emitCheckpoint } from './events.js'
import { isMagicAlone } from './magic-cells.js'
import { waitFor, type Operation } from './operation.js'
import { command } from './send.js'
import { mint, type KernelState } from './state.js'
import { checkName } from './terms.js'
import { headOf, keepHead, moveHead, takeBackHead } from './timeline.js'
import { endWriting, freeWriter, turnToWrite, written } from './writers.js'

export interface CheckpointWish {
  readonly name: unknown
  readonly note: unknown
  readonly exclude: unknown
  /** Nobody asked for it: it is told of as it is made. */
  readonly automatic?: boolean
  /** A cell waits for it, and shows how far it is. */
  readonly shown?: boolean
}

export interface Started {
  /** What is known while it is being written. */
  readonly writing: Readonly<Record<string, unknown>>
  /** Everybody is to hear of it if it fails: somebody was told that it is being written. */
  readonly announce: () => void
  /** Waits until it is stored; the record. To be run in any case. */
  readonly finish: () => Operation<unknown>
}

/**
 * Begins a checkpoint of the worker's namespace: the worker goes on as soon as its copy, the writer, was forked.
 * `parent`: header of the request that it belongs to. Throws `name_invalid`, `bad_request`, `queue_full`,
 * `snapshot_failed`, and what the store does.
 */
export function* start(state: KernelState, wish: CheckpointWish, parent: Buffer): Operation<Started> {
  refuseWhileDebugged(state)
  const name = checkpointName(wish.name)
  const exclude = [...state.options.checkpoints.exclude, ...patterns(wish.exclude)]
  const note = wish.note ?? null
  if (note !== null && typeof note !== 'string')
    throw new SavepointError('bad_request', 'note must be a text, or null.')
  yield* turnToWrite(state)
  try {
    const at = yield* headOf(state)
    const draft = yield* beginDraft(state, { name, note, at })
    return yield* forkWriter(state, draft, {
      name,
      note,
      at,
      exclude,
      parent,
      automatic: wish.automatic === true,
      shown: wish.shown === true,
    })
  } catch (error) {
    freeWriter(state)
    throw error
  }
}

/** A place to write to. Throws what the store does. */
export function beginDraft(
  state: KernelState,
  { name, note, at }: { readonly name: string | null; readonly note: string | null; readonly at: Head },
): Operation<CheckpointDraft> {
  return store<CheckpointDraft>(state, { call: 'begin_checkpoint', name, note, parent: at.head, branch: at.branch })
}

export interface WriterWish {
  readonly name: string | null
  readonly note: string | null
  readonly at: Head
  readonly exclude: readonly string[]
  readonly parent: Buffer
  readonly automatic: boolean
  readonly shown?: boolean
}

/** Forks the writer of a draft. Who has called this has the turn to write; it ends with `finish`, or here by an error. */
export function* forkWriter(state: KernelState, draft: CheckpointDraft, wish: WriterWish): Operation<Started> {
  const { name, note, at, parent } = wish
  const checkpoint = draft.checkpoint_id
  const in_transaction = state.transactions.length > 0
  const execution_count = state.executionCount
  const known = {
    checkpoint_id: checkpoint,
    name,
    note,
    state: 'writing',
    parent_id: at.head,
    branch: at.branch,
    in_transaction,
    execution_count,
  }
  const line = wish.shown === true ? { parent, width: 0 } : null
  state.writers.writing = { checkpoint, record: known, parent, announced: wish.automatic, line }
  const before = state.timeline
  const takeBack = (): void => {
    takeBackHead(state, checkpoint, before)
    state.changed = true
  }
  // What the worker is given from here on comes behind the copy, long before we hear that it was made.
  const isAtWork = isAtWorkIn(state)
  const { turn } = state
  moveHead(state, { head: checkpoint, branch: at.branch }, isAtWork && turn?.cell?.stored ? [turn.cell.count] : [])
  showsThePresent(state)
  state.changed = wish.exclude.length > state.options.checkpoints.exclude.length || isAtWork
  let pause_ms: number
  try {
    pause_ms = (yield* orAbandon(state, checkpoint, forked(state, draft, wish.exclude))).pause_ms
  } catch (error) {
    takeBack()
    throw error
  }
  const writing = { ...known, pause_ms }
  state.writers.writing = { checkpoint, record: writing, parent, announced: wish.automatic, line }
  function* write(): Operation<unknown> {
    const { write_ms } = yield* written(state, checkpoint)
    const facts = { pause_ms, write_ms, in_transaction, execution_count }
    const call = { call: 'seal_checkpoint', checkpoint, facts } as const
    return yield* store<unknown>(state, call, `seal ${checkpoint}`)
  }
  function* finish(): Operation<unknown> {
    try {
      const record = yield* orAbandon(state, checkpoint, write())
      endWriting(state)
      keepHead(state)
      freeWriter(state)
      return record
    } catch (error) {
      const announced = state.writers.writing?.announced === true
      takeBack()
      freeWriter(state)
      state.effects.push({ do: 'count', what: 'checkpoints_failed' })
      const { code, message } = error as SavepointError
      if (announced) emitCheckpoint(state, parent, { ...writing, state: 'failed', error: { code, message } })
      throw error
    }
  }
  const announce = (): void => {
    if (state.writers.writing?.checkpoint === checkpoint) state.writers.writing.announced = true
  }
  return { writing, announce, finish }
}

/** Something is under way in the worker, and goes on behind a copy that is made now. */
function isAtWorkIn({ turn, subshells }: KernelState): boolean {
  if (turn?.atWorker && !(turn.cell && isMagicAlone(turn.cell.code))) return true
  return [...subshells.values()].some((each) => each.turn?.atWorker)
}

/** The guard's newest copy may be of just this moment: who goes back to it is at this checkpoint. */
function showsThePresent(state: KernelState): void {
  const { past, pending, present } = state.guard
  const newest = present === 'frozen' && pending.length === 0 ? past.at(-1) : undefined
  const snapshot = newest && state.snapshots.get(newest.snapshot)
  if (snapshot) snapshot.timeline = state.timeline
}

/** Writes what there is now, has `use` look at it, and gives it up. */
export function* withDraftOfPresent<T>(state: KernelState, use: (draft: string) => Operation<T>): Operation<T> {
  refuseWhileDebugged(state)
  yield* turnToWrite(state)
  let draft: CheckpointDraft | null = null
  try {
    draft = yield* beginDraft(state, { name: null, note: null, at: yield* headOf(state) })
    yield* forked(state, draft, state.options.checkpoints.exclude)
    yield* written(state, draft.checkpoint_id)
    return yield* use(draft.checkpoint_id)
  } finally {
    if (draft) abandon(state, draft.checkpoint_id)
    freeWriter(state)
  }
}

type ForkedWriter = Extract<WorkerEvent, { kind: 'forked_writer' }>

function* forked(state: KernelState, draft: CheckpointDraft, exclude: readonly string[]): Operation<ForkedWriter> {
  refuseWithoutWorker(state)
  const checkpoint = draft.checkpoint_id
  command(state, { kind: 'checkpoint', checkpoint, token: mint(state), ...placesOf(draft), exclude })
  const fork = yield* waitFor<ForkedWriter>(`forked_writer:${checkpoint}`, state.options.limits.wakeMs)
  if (fork.error === undefined) return fork
  throw new SavepointError('snapshot_failed', `The process could not be copied for the checkpoint: ${fork.error}.`)
}

/** While the store was asked, the worker may have died, and another one may be on its way. Throws `kernel_dead`. */
export function refuseWithoutWorker({ worker, phase }: KernelState): void {
  if (worker?.pid && phase !== 'switching') return
  throw new SavepointError('kernel_dead', 'The worker died before anything was done. Ask again.')
}

/** Where the writer of a draft is to write. */
export function placesOf({ path, pack, known = null }: CheckpointDraft): {
  readonly path: string
  readonly pack?: string
  readonly known?: string | null
} {
  return pack === undefined ? { path } : { path, pack, known }
}

/** Gives back what was reserved when a step fails. */
function* orAbandon<T>(state: KernelState, checkpoint: string, step: Operation<T>): Operation<T> {
  try {
    return yield* step
  } catch (error) {
    abandon(state, checkpoint)
    throw error
  }
}

/** Nobody wants what is being written, or was. */
export function abandon(state: KernelState, checkpoint: string): void {
  state.effects.push({ do: 'cancel_writer', checkpoint })
  const call = { call: 'abandon_checkpoint', checkpoint } as const
  state.effects.push({ do: 'store', id: `abandon ${checkpoint}`, call })
}

type Call = Extract<KernelState['effects'][number], { do: 'store' }>['call']

/** Asks the store, and waits for its answer. */
export function* store<T>(state: KernelState, call: Call, id = mint(state)): Operation<T> {
  state.effects.push({ do: 'store', id, call })
  return yield* waitFor<T>(`store:${id}`, state.options.limits.checkpointMs)
}

/** Checks the name that a checkpoint is to have. Throws `name_invalid`. */
export function checkpointName(value: unknown): string | null {
  const name = checkName(value)
  if (name?.startsWith('cp_'))
    throw new SavepointError('name_invalid', "A checkpoint's name cannot start with cp_: ids do.")
  return name
}

function patterns(value: unknown): readonly string[] {
  if (value === undefined || value === null) return []
  if (isNames(value)) return value
  throw new SavepointError('bad_request', 'exclude must be a list of name patterns.')
}

export function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}
