/** The operations on checkpoints, as clients and code in the kernel ask for them. */

import { SavepointError } from '../errors.js'
import type { Call, Op, Ops } from './call.js'
import { start, store, withDraftOfPresent } from './checkpoints.js'
import { emitCheckpoint } from './events.js'
import { run, type Operation } from './operation.js'
import { branch, restore } from './restoring.js'
import type { KernelState } from './state.js'
import { headOf } from './timeline.js'
import { cancelWriting } from './writers.js'

export const CHECKPOINT_OPS: Ops = {
  create: { run: createOp, fields: ['name', 'note', 'exclude', 'wait'] },
  list: { run: listOp, fields: ['branch', 'limit', 'before'] },
  get: { run: asked('describe_checkpoint'), fields: ['checkpoint'] },
  validate: { run: asked('validate_checkpoint'), fields: ['checkpoint'] },
  delete: { run: deleteOp, fields: ['checkpoint'] },
  restore: { run: (state, { args }) => restore(state, args), fields: ['checkpoint', 'mode', 'names'] },
  branch: { run: (state, { args }) => branch(state, args), fields: ['checkpoint', 'name'] },
  diff: { run: diffOp, fields: ['from', 'to'] },
  export: { run: exportOp, fields: ['checkpoint'] },
  import: { run: importOp, fields: ['trust'] },
  cancel: { run: cancelOp, fields: ['checkpoint'] },
}

/** A result that comes with bytes. */
export class WithBuffers {
  readonly result: object
  readonly buffers: readonly Buffer[]

  constructor(result: object, buffers: readonly Buffer[]) {
    this.result = result
    this.buffers = buffers
  }
}

/** Answers when it is stored, or, with `wait: false`, as soon as it is being written. */
export function* createOp(state: KernelState, call: Call): Operation<unknown> {
  const { name, note, exclude, wait } = call.args
  const shown = call.content === null && call.args['progress'] === true
  const { writing, announce, finish } = yield* start(state, { name, note, exclude, shown }, call.parent)
  if (wait !== false) {
    const checkpoint = yield* finish()
    call.afterwards.push(() => emitCheckpoint(state, call.parent, checkpoint))
    return checkpoint
  }
  announce()
  call.afterwards.push(() => {
    run(state, finish(), (outcome) => {
      if (outcome.ok) emitCheckpoint(state, call.parent, outcome.value)
    })
  })
  return writing
}

/** `{items, total_count, head}`, newest first. */
export function* listOp(state: KernelState, { args }: Call): Operation<unknown> {
  const { branch: named, before } = args
  const limit = args['limit'] ?? 100
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new SavepointError('bad_request', 'limit must be a whole number from 1 to 1000.')
  }
  const listed = yield* store<object>(state, {
    call: 'list_checkpoints',
    branch: typeof named === 'string' ? named : null,
    before: typeof before === 'string' ? before : null,
    limit,
  })
  return { ...listed, head: (yield* headOf(state)).head }
}

function asked(what: 'describe_checkpoint' | 'validate_checkpoint'): Op {
  return (state, { args }) => store<unknown>(state, { call: what, checkpoint: checkpointIn(args['checkpoint']) })
}

function* deleteOp(state: KernelState, { args }: Call): Operation<unknown> {
  const checkpoint = checkpointIn(args['checkpoint'])
  return { deleted: yield* store<string>(state, { call: 'delete_checkpoint', checkpoint }) }
}

/** To another checkpoint; or to the present, which is written for it and given up. */
export function* diffOp(state: KernelState, { args }: Call): Operation<unknown> {
  const from = checkpointIn(args['from'])
  const to = args['to'] ?? null
  if (to !== null) return yield* store<unknown>(state, { call: 'diff_checkpoints', from, to: { id: checkpointIn(to) } })
  return yield* withDraftOfPresent(state, (draft) =>
    store<unknown>(state, { call: 'diff_checkpoints', from, to: { draft } }),
  )
}

function* exportOp(state: KernelState, { args }: Call): Operation<unknown> {
  const { transferBytesMax: bytesMax } = state.options.limits
  const checkpoint = checkpointIn(args['checkpoint'])
  const bytes = yield* store<Buffer>(state, { call: 'export_checkpoint', checkpoint, bytesMax })
  return new WithBuffers({ checkpoint, bytes: bytes.length }, [bytes])
}

function* importOp(state: KernelState, { args, buffers }: Call): Operation<unknown> {
  const trust = args['trust'] ?? null
  if (trust !== null && typeof trust !== 'string') {
    throw new SavepointError('bad_request', 'trust must be the name of a key, or null.')
  }
  const [bytes] = buffers
  if (!bytes) throw new SavepointError('bad_request', 'Send the exported checkpoint as the first buffer.')
  const { transferBytesMax } = state.options.limits
  if (bytes.length > transferBytesMax) {
    throw new SavepointError(
      'too_large',
      `The checkpoint has ${bytes.length} bytes; ${transferBytesMax} can be sent here. Use the REST route for it.`,
      { bytes: bytes.length, bytes_max: transferBytesMax },
    )
  }
  return yield* store<unknown>(state, { call: 'import_checkpoint', bytes, trust })
}

/** Gives up the one that is being written. It needs no turn: who waits for that checkpoint may have it. */
export function* cancelOp(state: KernelState, { args }: Pick<Call, 'args'>): Operation<unknown> {
  const checkpoint = checkpointIn(args['checkpoint'])
  if (cancelWriting(state, checkpoint)) return { cancelled: true }
  yield* store<unknown>(state, { call: 'describe_checkpoint', checkpoint })
  throw new SavepointError('already_settled', 'This checkpoint is stored already. Delete it instead.', { checkpoint })
}

function checkpointIn(value: unknown): string {
  if (typeof value === 'string') return value
  throw new SavepointError('bad_request', 'Name a checkpoint: its id or its name.')
}
