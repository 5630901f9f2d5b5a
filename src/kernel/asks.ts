/**
 * What code in the kernel (magics, the `savepoint` module) asks for in the middle of its cell, and how it is answered.
 *
 * Most is answered as a client would be. A copy of the process is frozen at the line that asks, so the answer is a
 * permit. What replaces the process is never answered: the one that asked is gone. What is put back in it is.
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { called, type Args, type Call, type Op } from './call.js'
import { createOp, diffOp, listOp } from './checkpoint-ops.js'
import { endWithoutWorker } from './death.js'
import type { StoreCall } from './effects.js'
import { emitTransaction } from './events.js'
import { commitAndTell, finishCell, finishTurn, leftContent, outcomeOf, reportOf } from './execution.js'
import { forkAsked, forkedAsked } from './forks.js'
import { guardOp, snapshotsOp } from './guard-ops.js'
import { putBackAnswer } from './objects-engine.js'
import { LeftWithoutWorker, run, waitFor, type Operation } from './operation.js'
import { replyMetadata, type TransactionReport } from './reply-metadata.js'
import { branch, restore } from './restoring.js'
import { rollback, rolledBackLine, type RollbackReport } from './rollback.js'
import { setSavepoint } from './savepoints.js'
import { command, publishText } from './send.js'
import { isProcess } from './snapshots.js'
import { mint, parentOf, parentOfTurn, type Cell, type KernelState, type Turn } from './state.js'
import { resumes, type SwitchReason } from './switching.js'
import { checkName, requiredName } from './terms.js'
import { beginRequest, commitOp, releaseOp, statusOp } from './transaction-ops.js'
import { redo, stepsOf, undo, undoneLine } from './undo.js'
import { find, open, record } from './transactions.js'

type Ask = Extract<WorkerEvent, { kind: 'ask' }>

/** Serves what code in the worker asks for, in the middle of its cell. */
export function serveAsk(state: KernelState, event: Ask, parts: readonly Buffer[]): void {
  // The process that asks is on its way out: it was told to hand over, and will not read an answer.
  if (state.phase === 'switching') return
  if (state.phase === 'stopping') {
    refuseAsk(state, event, new SavepointError('not_available', 'The kernel is shutting down.'))
    return
  }
  const parent = parentOf(state, event.parent)
  const call: Call = {
    args: event.args,
    by: sessionOf(state),
    client: state.turn?.request.client ?? null,
    parent,
    content: null,
    buffers: [],
    afterwards: [],
    warnings: [],
  }
  const op = Object.hasOwn(ASKS, event.op) ? ASKS[event.op] : undefined
  if (event.op === 'begin' || event.op === 'savepoint' || event.op === 'fork') {
    answerWithPermit(state, event, call)
  } else if (event.op === 'forked' && forkedAsked(state, event.id, call.args)) {
    // Answered when it is known.
  } else if (event.op === 'rollback' || isRollbackByCommit(state, event)) {
    run(state, rollbackAsked(state, event.id, parts, call), (outcome) => {
      if (outcome.ok) return
      if (outcome.error instanceof LeftWithoutWorker) endWithoutWorker(state, outcome.error)
      else refuseAsk(state, event, outcome.error)
    })
  } else if (event.op === 'undo' || event.op === 'redo') {
    run(state, undoAsked(state, event.op, call), (outcome) => {
      if (outcome.ok) return
      if (outcome.error instanceof LeftWithoutWorker) endWithoutWorker(state, outcome.error)
      else refuseAsk(state, event, outcome.error)
    })
  } else if (op) {
    run(state, called(op, state, call), (outcome) => {
      if (!outcome.ok) {
        // A restore has ended the process that asked, and there is no way back.
        if (outcome.error instanceof LeftWithoutWorker) endWithoutWorker(state, outcome.error)
        else refuseAsk(state, event, outcome.error)
        return
      }
      command(state, { kind: 'answer', id: event.id, ok: true, result: outcome.value })
      for (const tell of call.afterwards) tell()
    })
  } else {
    refuseAsk(state, event, new SavepointError('unknown_op', `There is no operation '${event.op}'.`, { op: event.op }))
  }
}

const ASKS: Readonly<Record<string, Op>> = {
  release: releaseOp,
  commit: commitOp,
  status: statusOp,
  snapshots: snapshotsOp,
  guard: guardOp,
  checkpoint: createOp,
  checkpoints: listOp,
  restore: (state, { args }) => restore(state, args),
  branch: (state, { args }) => branch(state, args),
  diff: diffOp,
  history: historyOp,
}

/** What other sessions have typed, for IPython's magics. */
function* historyOp(state: KernelState, { args }: Call): Operation<unknown> {
  const { stopMs } = state.options.limits
  const ask = (id: string, call: StoreCall): Operation<unknown> => {
    state.effects.push({ do: 'store', id, call })
    return waitFor<unknown>(`store:${id}`, stopMs)
  }
  const id = mint(state)
  const history = yield* ask(`history ${id}`, { call: 'history', request: args })
  const session = yield* ask(`session ${id}`, { call: 'history_session' })
  return { history, session }
}

/** The worker freezes its copy itself, at the line that asked; `taken` then tells of it. */
function answerWithPermit(state: KernelState, event: Ask, call: Call): void {
  const { args } = call
  try {
    if (event.op === 'fork') {
      // The answer comes first, and with it the permit; what is waited for follows from it.
      command(state, { kind: 'answer', id: event.id, ok: true, ...forkAsked(state, args) })
      return
    }
    const { transaction, permit } =
      event.op === 'begin'
        ? open(state, beginRequest(call, args['block'] === true))
        : savepointIn(state, requiredName(args['name']), args['transaction'])
    const result = { ...record(transaction), ...(call.warnings.length > 0 ? { warnings: call.warnings } : {}) }
    command(state, { kind: 'answer', id: event.id, ok: true, result, permit })
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    refuseAsk(state, event, error)
  }
}

function savepointIn(state: KernelState, name: string, wanted: unknown) {
  const transaction = find(state, wanted)
  return { transaction, permit: setSavepoint(state, transaction, name) }
}

function isRollbackByCommit(state: KernelState, event: Ask): boolean {
  if (event.op !== 'commit') return false
  const id = event.args['transaction'] ?? null
  const meant = id === null ? state.transactions.at(-1) : state.transactions.find((each) => each.id === id)
  return meant?.policy === 'rollback_always'
}

/**
 * A rollback from within a cell is not answered where the asking process ends. A `with` block's woken copy goes on with
 * the cell; else the cell ends here, and we reply for it.
 */
function* rollbackAsked(state: KernelState, id: string, parts: readonly Buffer[], call: Call): Operation<void> {
  const to = checkName(call.args['to'])
  const target = find(state, call.args['transaction'])
  const { turn } = state
  const report = yield* rollback(state, target, { reason: reasonOf(call.args), parts }, to)
  emitTransaction(state, call.parent, target)
  if (!isProcess(report.snapshot)) {
    // The one that asked is still there.
    const result = putBackAnswer(state, report.snapshot, report)
    if (!resumes(state, report.snapshot)) {
      if (turn?.cell) turn.cell.undone = reportOf(report)
      if (call.args['message'] === true) publishText(state, 'stdout', call.parent, rolledBackLine(report))
    }
    command(state, { kind: 'answer', id, ok: true, result })
    return
  }
  if (resumes(state, report.snapshot)) return
  const cell = state.turn === turn && turn?.answered === false ? turn.cell : null
  endHere(state, turn, call, rolledBackLine(report), cell && (yield* endLeftCell(state, cell, report)))
}

/** The same for an undo or a redo. */
function* undoAsked(state: KernelState, op: 'undo' | 'redo', call: Call): Operation<void> {
  const n = stepsOf(call.args['n'])
  const { turn } = state
  const report = yield* op === 'undo' ? undo(state, n) : redo(state, n)
  endHere(state, turn, call, undoneLine(state, report, op))
}

/** The process that asked is gone, and its cell ends with it. */
function endHere(
  state: KernelState,
  turn: Turn | null,
  call: Call,
  line: string,
  transaction: TransactionReport | null = null,
): void {
  if (!turn || turn.answered || state.turn !== turn) return
  if (call.args['message'] === true) publishText(state, 'stdout', call.parent, line)
  if (!turn.cell) {
    finishTurn(state, turn)
    return
  }
  const metadata = replyMetadata(state, { cell: turn.cell, status: 'ok', transaction })
  finishCell(state, turn, { content: leftContent(turn.cell), metadata, failed: false })
}

/** A cell that went back ends well where it did so, and with it the transaction that its policy opened. */
function* endLeftCell(state: KernelState, cell: Cell, report: RollbackReport): Operation<TransactionReport> {
  if (cell.checkpoint) cell.warnings.push('No checkpoint was made: the cell was rolled back.')
  const own = cell.transaction
  if (own === null || (own === report.transaction && own.state !== 'open')) return reportOf(report)
  if (own.state === 'open' && own.policy === 'rollback_always') {
    const last = yield* rollback(state, own, { reason: { reason: 'requested' }, parts: [] })
    emitTransaction(state, parentOfTurn(state), own)
    return reportOf(last)
  }
  if (own.state === 'open' && own.policy !== 'explicit') commitAndTell(state, own)
  return { transaction: own, outcome: outcomeOf(own) }
}

const REASONS = ['error', 'requested', 'interrupt', 'timeout'] as const

function reasonOf(args: Args): SwitchReason['reason'] {
  const { ename, evalue, traceback } = args
  return {
    reason: REASONS.find((each) => each === args['reason']) ?? 'requested',
    ...(typeof ename === 'string' ? { ename } : {}),
    ...(typeof evalue === 'string' ? { evalue } : {}),
    ...(Array.isArray(traceback) ? { traceback: traceback.map(String) } : {}),
  }
}

function refuseAsk(state: KernelState, event: Ask, error: SavepointError): void {
  const { code, message, details } = error
  command(state, { kind: 'answer', id: event.id, ok: false, error: { code, message, details } })
}

function sessionOf(state: KernelState): string | null {
  return state.turn?.request.message.header.session ?? null
}
