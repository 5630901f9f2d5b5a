/**
 * A woken copy in which calls of some library would hang hands its variables to a fresh worker, and is ended.
 *
 * The copy writes them to a file, as for a checkpoint, and the fresh worker reads it; what a library's threads did in
 * the process that was copied plays no part there. Whoever loses something by that is not moved: then the copy stays
 * the worker, and `limits` says which calls may hang.
 */

import { SavepointError } from '../errors.js'
import type { LostObject, WorkerEvent } from '../link/protocol.js'
import { json } from '../wire/message.js'
import { placesOf, store } from './checkpoints.js'
import { dropWorkerComms } from './comms.js'
import type { CheckpointDraft } from './effects.js'
import { waitFor, type Operation } from './operation.js'
import { parseObject } from './policy.js'
import { sourceOf } from './restoring.js'
import { command, log, publish } from './send.js'
import { mint, parentOfTurn, type KernelState } from './state.js'
import { askForEmpty, welcome } from './succession.js'
import { written } from './writers.js'

/** What came of it. */
export interface Transplanted {
  readonly moved: boolean
  readonly limits: readonly string[]
}

/**
 * Moves the worker's variables to a fresh one. `back` makes the copy the worker again, for when that did not work;
 * `leave` is called before the copy is ended.
 * Throws what `back` throws, or nothing.
 */
export function* transplant(
  state: KernelState,
  libraries: readonly string[],
  back: () => Operation<unknown>,
  leave: () => void = () => {},
): Operation<Transplanted> {
  const names = libraries.join(', ')
  const copy = state.worker
  let draft: CheckpointDraft | null = null
  try {
    draft = yield* reserve(state)
    const { root, lost } = yield* save(state, draft)
    leave()
    const warnings = yield* moveInto(state, draft, root)
    const closed = closeComms(state)
    return {
      moved: true,
      limits: [
        `what no variable leads to (the identity of objects, open files, attributes set on modules, extensions, background tasks): the process is a new one, since calls of ${names} would hang in a copy`,
        ...lost.map(({ name }) => `the result ${name}, which cannot be serialized`),
        ...(closed > 0 ? [`${closed} open ${closed === 1 ? 'comm, which was' : 'comms, which were'} closed`] : []),
        ...warnings,
      ],
    }
  } catch (error) {
    if (state.phase === 'stopping') throw error
    const { code, message } = error as SavepointError
    log(state, 'info', 'not_transplanted', { libraries: names, code, message })
    if (state.worker !== copy) yield* back()
    // It would fail again.
    if (state.worker) state.worker.stays = true
    return { moved: false, limits: [hanging(libraries, message)] }
  } finally {
    if (draft) {
      const checkpoint = draft.checkpoint_id
      state.effects.push({ do: 'store', id: mint(state), call: { call: 'abandon_checkpoint', checkpoint } })
    }
  }
}

/** The limit of a copy that is the worker although some library hangs in it. */
export function hanging(libraries: readonly string[], why: string): string {
  return `calls of ${libraries.join(', ')}, which may hang from here on: ${why}`
}

/** A place among the checkpoints that are being written; this one never becomes one. */
function reserve(state: KernelState): Operation<CheckpointDraft> {
  const call = { call: 'begin_checkpoint', name: null, note: null, parent: null, branch: 'main' } as const
  return store<CheckpointDraft>(state, call)
}

interface Saved {
  readonly root: Buffer
  /** The results of cells that are lost. */
  readonly lost: readonly LostObject[]
}

/** Throws `restore_failed` if a variable would be lost. */
function* save(state: KernelState, draft: CheckpointDraft): Operation<Saved> {
  const { limits } = state.options
  const checkpoint = draft.checkpoint_id
  const token = mint(state)
  // All of it goes into the one pack: nothing that is kept elsewhere is looked for.
  const places = placesOf({ ...draft, known: null })
  command(state, { kind: 'checkpoint', checkpoint, token, ...places, exclude: [], whole_session: true })
  type ForkedWriter = Extract<WorkerEvent, { kind: 'forked_writer' }>
  const fork = yield* waitFor<ForkedWriter>(`forked_writer:${checkpoint}`, limits.wakeMs)
  if (fork.error !== undefined) throw new SavepointError('snapshot_failed', fork.error)
  const manifest = (yield* written(state, checkpoint)).manifest ?? Buffer.alloc(0)
  const lost = lostIn(manifest)
  refuseLoss(lost.filter(({ name }) => !isResult(name)))
  return { root: manifest, lost: lost.filter(({ name }) => isResult(name)) }
}

/** What could not be restored beside the variables, in words. Throws if a variable could not. */
function* moveInto(state: KernelState, { path, pack }: CheckpointDraft, root: Buffer): Operation<readonly string[]> {
  const old = state.worker?.pid
  const token = askForEmpty(state)
  if (old) state.effects.push({ do: 'kill', pid: old })
  yield* welcome(state, token, null)
  const id = mint(state)
  const { places, parts } =
    pack === undefined
      ? sourceOf({ format: 1, path, packs: [], root: null, map: null })
      : sourceOf({ format: 2, path: '', packs: [pack], root, map: NO_MAP })
  command(state, { kind: 'restore', id, ...places, mode: 'clear', names: null, whole_session: true }, parts)
  type Restored = Extract<WorkerEvent, { kind: 'restored' }>
  const done = yield* waitFor<Restored>(`restored:${id}`, state.options.limits.checkpointMs)
  if (done.error) throw new SavepointError('restore_failed', done.error.message, done.error.details)
  refuseLoss(done.lost.filter(({ name }) => !isResult(name)))
  return done.warnings
}

/** The pack's own table says where everything is. */
const NO_MAP = Buffer.alloc(0)

function refuseLoss(lost: readonly LostObject[]): void {
  const [first, ...others] = lost
  if (!first) return
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  throw new SavepointError(
    'restore_failed',
    `to have the variables in another process, '${first.name}' (${first.type})${more} would be lost`,
    { lost: lost.map(({ name }) => name) },
  )
}

/** Results go by the names that IPython gives them; those of the user's variables are others. */
function isResult(name: string): boolean {
  return /^_(\d+|_{0,2})$/.test(name)
}

function lostIn(manifest: Buffer): readonly LostObject[] {
  const { lost, lost_count = 0 } = parseObject(manifest)
  // Of very many only some are named.
  if (Array.isArray(lost) && typeof lost_count === 'number' && lost_count > lost.length) {
    throw new SavepointError('restore_failed', `to have the variables in another process, ${lost_count} would be lost`)
  }
  if (!Array.isArray(lost)) throw new SavepointError('internal', 'the manifest of what was saved cannot be read')
  return lost as readonly LostObject[]
}

function closeComms(state: KernelState): number {
  const gone = dropWorkerComms(state.comms, new Set())
  for (const comm_id of gone) {
    publish(state, 'comm_close', parentOfTurn(state), { content: json({ comm_id, data: {} }) })
  }
  return gone.length
}
