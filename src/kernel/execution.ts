/**
 * Cells: from the request to its reply.
 *
 * A cell is handed to the worker before its busy and execute_input are published, since nothing of it can overtake
 * them. Its number grows before it runs: a cell that never ends must still own its number.
 *
 * The reply of a cell that failed is held back until all is read that clients had sent before it; those cells are then
 * refused (`aborted`), in the order in which they came. So what a client sends once it has seen the failure always
 * runs, however fast it is.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute
 */

import { SavepointError } from '../errors.js'
import type { RollbackReason, WorkerEvent } from '../link/protocol.js'
import { json } from '../wire/message.js'
import type { Client } from './effects.js'
import { handOverComms } from './beside.js'
import { noteTurnEnd } from './auto-checkpoints.js'
import { start as startCheckpoint } from './checkpoints.js'
import { cellEnded, limitCell } from './deadlines.js'
import { emitCheckpoint, emitEnded, emitTransaction } from './events.js'
import { abandonForks } from './forks.js'
import { guardCell, noteChange } from './guard.js'
import { run, waitFor, type Operation } from './operation.js'
import { isObject, isPlain, parseObject, wishesOf, type CellWishes } from './policy.js'
import { command, publish, publishSoon, publishStatus, publishText, reply } from './send.js'
import { replyMetadata, type TransactionReport } from './reply-metadata.js'
import { cue, newsOfControl, type Cell, type KernelState, type Line, type Request, type Turn } from './state.js'
import type { EngineWish } from './terms.js'
import { newGathered, release } from './streams.js'
import { rolledBackLine, rollback, type RollbackReport } from './rollback.js'
import { noteCell } from './timeline.js'
import { commit, open, type Transaction } from './transactions.js'
import { endWithoutWorker } from './death.js'

type Reply = Extract<WorkerEvent, { kind: 'reply' }>

/** Starts a cell's turn, or refuses the cell with an error reply. */
export function startCell(state: KernelState, request: Request): void {
  let content: Record<string, unknown>
  let wishes: CellWishes
  let cell: Cell | null = null
  try {
    content = parseObject(request.message.contentBytes)
    cell = cellOf(state, content)
    wishes = wishesOf(request.message, cell.code)
    cell = { ...cell, plain: isPlain(wishes) }
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    refuseCell(state, request, cell, error)
    return
  }
  cue(state, 'turn')
  const turn: Turn = { request, cell, atWorker: true, answered: false }
  state.turn = turn
  try {
    const permit = wishes.transaction
      ? wrap(state, cell, { ...wishes.transaction, openedBy: request.message.header.session })
      : undefined
    const copies = guardCell(state, cell, wishes.transaction !== null)
    // What is asked along with it is code, too.
    if (cell.code.trim() === '' && isAsked(content['user_expressions'])) noteChange(state)
    const { headerBytes, metadataBytes, contentBytes, buffers } = request.message
    command(
      state,
      {
        kind: 'request',
        seq: request.seq,
        type: 'execute_request',
        execution_count: cell.count,
        ...(permit ? { permit } : {}),
        ...copies,
        ...newsOfControl(state),
      },
      [headerBytes, metadataBytes, contentBytes, ...buffers],
    )
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    state.turn = null
    cue(state, 'done')
    refuseCell(state, request, cell, error)
    return
  }
  cell.warnings.push(...wishes.warnings)
  cell.byMagic = wishes.byMagic
  cell.checkpoint = wishes.checkpoint
  limitCell(state, turn, cell, wishes.timeoutS)
  if (wishes.streamMode === 'buffered') cell.gathered = newGathered()
  begin(state, turn, cell)
}

function isAsked(expressions: unknown): boolean {
  return isObject(expressions) && Object.keys(expressions).length > 0
}

/** The worker has the cell: clients are told. */
export function begin(state: KernelState, { request }: Turn, cell: Cell): void {
  const parent = request.message.headerBytes
  state.latestParent = parent
  state.latestClient = request.client
  publishStatus(state, 'busy', parent)
  if (!cell.silent) publishInput(state, parent, cell)
  if (state.queue.length > 0) handOverComms(state)
  state.changed = true
  if (!cell.stored) return
  state.executionCount = cell.count
  noteCell(state, cell.count)
  if (state.snapshots.size > 0) state.inputs.push([cell.count, cell.code])
  state.effects.push({ do: 'remember', line: cell.count, source: cell.code })
}

export function cellOf(state: KernelState, content: Readonly<Record<string, unknown>>, plain = false): Cell {
  const { code } = content
  if (typeof code !== 'string') throw new SavepointError('bad_request', 'An execute_request needs its code, a string.')
  const silent = content['silent'] === true
  return {
    code,
    count: state.executionCount + 1,
    silent,
    // IPython does not count a cell without code.
    stored: !silent && content['store_history'] !== false && code.trim() !== '',
    stopOnError: content['stop_on_error'] !== false,
    plain,
    transaction: null,
    byMagic: false,
    checkpoint: null,
    saved: null,
    guard: null,
    undone: null,
    timedOut: false,
    gathered: null,
    warnings: [],
  }
}

function wrap(
  state: KernelState,
  cell: Cell,
  wish: { policy: Transaction['policy']; name: string | null; engine: EngineWish; openedBy: string },
) {
  const { transaction, permit } = open(state, { ...wish, block: false })
  cell.transaction = transaction
  return permit
}

export function publishInput(state: KernelState, parent: Buffer, cell: Cell): void {
  publishSoon(state, 'execute_input', parent, { content: json({ code: cell.code, execution_count: cell.count }) })
}

/** The cell is not run: an error of ours instead of one of its own. */
function refuseCell(state: KernelState, request: Request, cell: Cell | null, error: SavepointError): void {
  const parent = request.message.headerBytes
  const content = errorContent(error)
  cue(state, 'turn')
  const turn: Turn = { request, cell, atWorker: false, answered: false }
  state.turn = turn
  publishStatus(state, 'busy', parent)
  publish(state, 'error', parent, { content: json(content) })
  finishCell(state, turn, {
    content: json({
      status: 'error',
      ...content,
      execution_count: state.executionCount,
      user_expressions: {},
      payload: [],
    }),
    metadata: replyMetadata(state, { status: 'error' }),
    failed: true,
  })
}

/** The form that every error of ours has towards a client. */
export function errorContent(error: SavepointError): { ename: string; evalue: string; traceback: string[] } {
  const evalue = `${error.code}: ${error.message}`
  return { ename: 'SavepointError', evalue, traceback: [`SavepointError: ${evalue}`] }
}

/** The worker has run the cell. Its transaction ends first, so that the next cell sees the state that the reply tells. */
export function endCell(state: KernelState, turn: Turn, cell: Cell, event: Reply, parts: readonly Buffer[]): void {
  cellEnded(state, turn)
  const replyFailed = event.status !== 'ok'
  const failed = replyFailed || cell.timedOut
  const { source, output } = event
  if (cell.stored && (source !== undefined || output !== undefined)) {
    const [transformed = null, result = null] = [source, output]
    state.effects.push({ do: 'remember_result', line: cell.count, transformed, output: result })
  }
  const finish = (report: TransactionReport | null): void => {
    const metadata = replyMetadata(state, { worker: parts[1], cell, transaction: report })
    finishCell(state, turn, { content: parts[0] ?? json({ status: 'error' }), metadata, failed: replyFailed })
  }
  const own = cell.transaction
  if (state.phase === 'stopping') {
    finish(own ? { transaction: own, outcome: 'lost' } : null)
    return
  }
  const target = transactionToRollBack(state, cell, failed)
  if (!target) {
    if (own?.state === 'open' && own.policy !== 'explicit') commitAndTell(state, own)
    const end = (): void => finish(cell.undone ?? (own ? { transaction: own, outcome: outcomeOf(own) } : null))
    if (failed || !cell.checkpoint) end()
    else run(state, save(state, turn, cell, cell.checkpoint.name), end)
    return
  }
  if (!failed && cell.checkpoint) cell.warnings.push('No checkpoint was made: the cell was rolled back.')
  const reason: RollbackReason = failed
    ? {
        reason: cell.timedOut ? 'timeout' : event.ename === 'KeyboardInterrupt' ? 'interrupt' : 'error',
        ename: event.ename ?? '',
        evalue: event.evalue ?? '',
      }
    : { reason: 'requested' }
  run(state, rollback(state, target, { reason, parts: [] }), (outcome) => {
    if (!outcome.ok && state.phase !== 'busy') {
      endWithoutWorker(state, outcome.error)
      return
    }
    emitTransaction(state, turn.request.message.headerBytes, target)
    if (outcome.ok) {
      const parent = turn.request.message.headerBytes
      if (cell.byMagic) publishText(state, 'stdout', parent, rolledBackLine(outcome.value))
      finish(reportOf(outcome.value))
      return
    }
    // The way back was gone before the worker was touched: the kernel lives on with what the cell has done.
    cell.warnings.push(outcome.error.message)
    finish({ transaction: target, outcome: 'lost' })
  })
}

/** Makes the checkpoint that a cell wished for. That it cannot be made is no failure of the cell. */
function* save(state: KernelState, turn: Turn, cell: Cell, name: string | null): Operation<void> {
  try {
    const parent = turn.request.message.headerBytes
    const { writing, finish } = yield* startCheckpoint(state, { name, note: null, exclude: null }, parent)
    const record = yield* finish()
    cell.saved = { checkpoint_id: writing['checkpoint_id'], name }
    emitCheckpoint(state, parent, record)
  } catch (error) {
    const why = error instanceof SavepointError ? `${error.code}: ${error.message}` : String(error)
    cell.warnings.push(`The checkpoint could not be made. ${why}`)
  }
}

/** Rolled back to a savepoint, it is still open. */
export function reportOf(rolledBack: RollbackReport): TransactionReport {
  const { transaction, rollback_ms, effects, limits } = rolledBack
  return { transaction, outcome: outcomeOf(transaction), end_ms: rollback_ms, effects, limits }
}

export function outcomeOf(transaction: Transaction): TransactionReport['outcome'] {
  const { state } = transaction
  return state === 'open' || state === 'opening' ? 'pending' : state
}

export function commitAndTell(state: KernelState, transaction: Transaction): void {
  commit(state, transaction)
  emitTransaction(state, state.turn?.request.message.headerBytes ?? state.latestParent, transaction)
}

/**
 * The cell's own transaction, by its policy; else, after a failure, the outermost one that was begun with
 * `rollback_on_failure`, since the failure concerns every such transaction around the cell.
 */
function transactionToRollBack(state: KernelState, cell: Cell, failed: boolean): Transaction | null {
  const outer = failed ? state.transactions.find((each) => each.policy === 'rollback_on_failure') : undefined
  if (outer) return outer
  const own = cell.transaction
  return own?.state === 'open' && own.policy === 'rollback_always' ? own : null
}

/** Reply, idle, and the end of the turn; after a failure the cells that were sent before the reply are aborted. */
export function finishCell(
  state: KernelState,
  turn: Turn,
  result: { readonly content: Buffer; readonly metadata: Buffer; readonly failed: boolean },
): void {
  if (turn.answered) return
  release(state)
  turn.answered = true
  cellEnded(state, turn)
  const { cell } = turn
  const aborts = result.failed && cell?.silent !== true && cell?.stopOnError !== false && state.phase !== 'stopping'
  const end = (): void => {
    reply(state, turn.request, result)
    finishTurn(state, turn)
    if (aborts) abortQueue(state)
  }
  if (!aborts) {
    end()
    return
  }
  state.effects.push({ do: 'settle' })
  run(state, waitFor<void>('settled', state.options.limits.settleMs), end)
}

/** idle is the last word of every request. */
export function finishTurn(state: KernelState, turn: Turn): void {
  abandonForks(state, turn.request.seq)
  emitEnded(state, turn.request.message.headerBytes)
  publishStatus(state, 'idle', turn.request.message.headerBytes)
  state.turn = null
  if (state.phase === 'busy') cue(state, 'done')
  noteTurnEnd(state, turn)
}

/** Refuses every cell that waits; other requests keep their place. */
export function abortQueue(state: KernelState, { queue }: Line = state): void {
  const waiting = queue.splice(0)
  for (const request of waiting) {
    if (request.message.header.msg_type !== 'execute_request') {
      queue.push(request)
      continue
    }
    publishStatus(state, 'busy', request.message.headerBytes)
    abort(state, request)
  }
}

/** Refuses a cell that waits, since its client wants it no more. What the worker has is left to an interrupt. */
export function withdrawCell(
  state: KernelState,
  { client, id }: { readonly client: Client; readonly id: string },
): void {
  const place = state.queue.findIndex(
    ({ message, client: { routing } }) =>
      message.header.msg_id === id &&
      message.header.msg_type === 'execute_request' &&
      routing.length === client.routing.length &&
      routing.every((part, index) => client.routing[index]?.equals(part)),
  )
  const request = state.queue[place]
  if (!request || (state.ahead?.request === request && state.ahead.cell !== null)) return
  state.queue.splice(place, 1)
  publishStatus(state, 'busy', request.message.headerBytes)
  abort(state, request)
}

/** At the kernel's end: refuses the cell that the worker left without an answer, and all that wait. */
export function abortAll(state: KernelState): void {
  const { turn } = state
  if (turn?.cell && !turn.answered) {
    turn.answered = true
    state.turn = null
    abort(state, turn.request)
  }
  abortQueue(state)
}

function abort(state: KernelState, request: Request): void {
  reply(state, request, {
    // The spec wants a number in every execute_reply; front ends show this one as the number of a cell, unless it is 0.
    content: json({ status: 'aborted', execution_count: 0 }),
    metadata: replyMetadata(state, { status: 'aborted' }),
  })
  publishStatus(state, 'idle', request.message.headerBytes)
}

/** The content of a reply for a cell whose worker went away on purpose: rolled back from within, or restored. */
export function leftContent(cell: Cell): Buffer {
  const execution_count = cell.stored ? cell.count : cell.count - 1
  return json({ status: 'ok', execution_count, user_expressions: {}, payload: [] })
}
