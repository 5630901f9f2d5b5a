/**
 * Checkpoints: the steps of writing, listing and restoring one.
 *
 * A forked copy of the worker writes the namespace to a file, so that the kernel is held up for the fork alone; the
 * store then signs the file and keeps it. Before a restore the store verifies the file: nothing is unpickled that we
 * did not write.
 */

import { SavepointError } from '../errors.js'
import type { LostObject, WorkerEvent } from '../link/protocol.js'
import type { CheckpointDraft, OpenCheckpoint } from './effects.js'
import { refuseWhileDebugged } from './debugger-state.js'
import { noteStep } from './guard.js'
import { waitFor, type Operation } from './operation.js'
import { command, log } from './send.js'
import { mint, type KernelState } from './state.js'
import { checkName } from './terms.js'

export interface CheckpointRequest {
  readonly name: unknown
  readonly note: unknown
  readonly exclude: unknown
}

export interface Started {
  /** What is known while it is being written. */
  readonly writing: Readonly<Record<string, unknown>>
  /** Waits until it is stored; the record. */
  readonly finish: () => Operation<unknown>
}

/** Begins a checkpoint of the worker's namespace: the worker goes on as soon as its copy, the writer, was forked. */
export function* start(state: KernelState, request: CheckpointRequest): Operation<Started> {
  refuseWhileDebugged(state)
  const { limits } = state.options
  const name = checkpointName(request.name)
  const exclude = patterns(request.exclude)
  const note = typeof request.note === 'string' ? request.note : null
  const draft = yield* store<CheckpointDraft>(state, {
    call: 'begin_checkpoint',
    name,
    note,
    parent: null,
    branch: 'main',
  })
  const checkpoint = draft.checkpoint_id
  const token = mint(state)
  const in_transaction = state.transactions.length > 0
  const execution_count = state.executionCount
  command(state, { kind: 'checkpoint', checkpoint, token, ...placesOf(draft), exclude })
  const fork = yield* orAbandon(state, checkpoint, forked(state, checkpoint))
  const { pause_ms } = fork
  function* write(): Operation<unknown> {
    const { write_ms } = yield* waitFor<{ write_ms: number }>(`written:${checkpoint}`, limits.checkpointMs)
    const facts = { pause_ms, write_ms, in_transaction, execution_count }
    return yield* store<unknown>(state, { call: 'seal_checkpoint', checkpoint, facts })
  }
  const writing = { checkpoint_id: checkpoint, name, note, state: 'writing', pause_ms, in_transaction, execution_count }
  return { writing, finish: () => orAbandon(state, checkpoint, write()) }
}

/** Where the writer of a draft is to write. */
export function placesOf({ path, pack, known = null }: CheckpointDraft): {
  readonly path: string
  readonly pack?: string
  readonly known?: string | null
} {
  return pack === undefined ? { path } : { path, pack, known }
}

type ForkedWriter = Extract<WorkerEvent, { kind: 'forked_writer' }>

function* forked(state: KernelState, checkpoint: string): Operation<ForkedWriter> {
  const fork = yield* waitFor<ForkedWriter>(`forked_writer:${checkpoint}`, state.options.limits.wakeMs)
  if (fork.error === undefined) return fork
  throw new SavepointError('snapshot_failed', `The process could not be copied for the checkpoint: ${fork.error}.`)
}

/** Gives back what was reserved when a step fails. */
function* orAbandon<T>(state: KernelState, checkpoint: string, step: Operation<T>): Operation<T> {
  try {
    return yield* step
  } catch (error) {
    const id = `abandon ${checkpoint}`
    state.effects.push({ do: 'store', id, call: { call: 'abandon_checkpoint', checkpoint } })
    throw error
  }
}

/** `{items, total_count, head}`, newest first. */
export function list(state: KernelState, request: Readonly<Record<string, unknown>>): Operation<unknown> {
  const { branch, before } = request
  const limit = request['limit'] ?? 100
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new SavepointError('bad_request', 'limit must be a whole number from 1 to 1000.')
  }
  return store<unknown>(state, {
    call: 'list_checkpoints',
    branch: typeof branch === 'string' ? branch : null,
    before: typeof before === 'string' ? before : null,
    limit,
  })
}

/** Loads a checkpoint into the worker's namespace. */
export function* restore(state: KernelState, request: Readonly<Record<string, unknown>>): Operation<RestoreResult> {
  const { checkpoint } = request
  if (typeof checkpoint !== 'string')
    throw new SavepointError('bad_request', 'Name the checkpoint to restore: its id or its name.')
  const mode = request['mode'] ?? 'clear'
  if (mode !== 'clear' && mode !== 'merge') throw new SavepointError('bad_request', "mode must be 'clear' or 'merge'.")
  const names = request['names'] ?? null
  if (names !== null && !isNames(names))
    throw new SavepointError('bad_request', 'names must be a list of variable names, or null.')
  if (state.transactions.length > 0) {
    throw new SavepointError('transaction_open', 'A transaction is open. Commit it or roll it back, then restore.')
  }
  const opened = yield* store<OpenCheckpoint>(state, { call: 'open_checkpoint', checkpoint })
  const { checkpoint_id } = opened.record
  const id = mint(state)
  // What a cell restores is part of what the cell does.
  if (!state.turn?.cell) noteStep(state)
  const { places, parts } = sourceOf(opened)
  command(state, { kind: 'restore', id, ...places, mode, names, lazy: 'auto' }, parts)
  type Restored = Extract<WorkerEvent, { kind: 'restored' }>
  const done = yield* waitFor<Restored>(`restored:${id}`, state.options.limits.checkpointMs)
  if (done.error) {
    log(state, 'warn', 'restore_failed', { checkpoint: checkpoint_id, code: done.error.code })
    throw new SavepointError('restore_failed', done.error.message, done.error.details)
  }
  return { checkpoint_id, restored: done.restored, lost: done.lost, warnings: done.warnings, restore_ms: done.ms }
}

/** What a worker is told of a checkpoint that it is to load. */
export function sourceOf({ format, path, packs, root, map }: Omit<OpenCheckpoint, 'record'>): {
  readonly places: { readonly format: 1 | 2; readonly path: string; readonly packs: readonly string[] }
  readonly parts: readonly Buffer[]
} {
  return { places: { format, path, packs }, parts: root && map ? [root, map] : [] }
}

export interface RestoreResult {
  readonly checkpoint_id: string
  readonly restored: number
  readonly lost: readonly LostObject[]
  readonly warnings: readonly string[]
  readonly restore_ms: number
}

type Call = Extract<KernelState['effects'][number], { do: 'store' }>['call']

/** Asks the store, and waits for its answer. */
export function* store<T>(state: KernelState, call: Call): Operation<T> {
  const id = mint(state)
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

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}
