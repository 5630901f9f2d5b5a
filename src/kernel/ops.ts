/**
 * What clients and the kernel's own code can ask for beyond the Jupyter protocol: one table of operations, two ways in.
 *
 * A client sends `comm_msg` to our comm targets: the request takes its turn like any other and the answer is published
 * before its idle. Code in the kernel (magics, the `savepoint` module) sends an `ask` in the middle of its cell and
 * waits for the `answer`.
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { json } from '../wire/message.js'
import * as checkpoints from './checkpoints.js'
import type { OpOutcome, StoreCall } from './effects.js'
import { CHECKPOINT_TARGET, NAMESPACE_TARGET, TRANSACTION_TARGET } from './comms.js'
import { emitCheckpoint, emitTransaction } from './events.js'
import { endWithoutWorker } from './death.js'
import { finishCell, finishTurn, leftContent, reportOf } from './execution.js'
import { askWorker, NAMESPACE_OPS, RawJson, type NamespaceOp } from './namespace.js'
import { run, waitFor, type Operation } from './operation.js'
import { isObject } from './policy.js'
import { replyMetadata } from './reply-metadata.js'
import { command, publish, publishText } from './send.js'
import { mint, parentOf, type KernelState, type OpRequest, type Turn } from './state.js'
import {
  begin,
  checkEngine,
  checkName,
  commit,
  find,
  open,
  policyNamed,
  record,
  rollback,
  rolledBackLine,
  type BeginRequest,
  type RollbackReport,
  type Transaction,
} from './transactions.js'
import { resumes, type SwitchReason } from './switching.js'

type Args = Readonly<Record<string, unknown>>
interface Call {
  readonly args: Args
  /** Session of the client that asked. */
  readonly by: string | null
  readonly parent: Buffer
  /** The client's message; null for what code in the kernel asks. */
  readonly content: Buffer | null
  /** What is told to everybody once the one that asked has its answer. */
  readonly afterwards: (() => void)[]
}
type Op = (state: KernelState, call: Call) => Operation<unknown>

type Ops = Readonly<Record<string, { readonly run: Op; readonly fields: readonly string[] }>>

const OPS: Readonly<Record<string, Ops>> = {
  [TRANSACTION_TARGET]: {
    begin: { run: beginOp, fields: ['name', 'policy', 'engine'] },
    rollback: { run: rollbackOp, fields: ['to', 'transaction'] },
    commit: { run: commitOp, fields: ['transaction'] },
    status: { run: statusOp, fields: [] },
  },
  [CHECKPOINT_TARGET]: {
    create: { run: createOp, fields: ['name', 'note', 'exclude', 'wait'] },
    list: { run: (state, { args }) => checkpoints.list(state, args), fields: ['branch', 'limit', 'before'] },
    restore: { run: (state, { args }) => checkpoints.restore(state, args), fields: ['checkpoint', 'mode', 'names'] },
  },
  [NAMESPACE_TARGET]: namespaceOps(),
}

function namespaceOps(): Ops {
  const names = Object.keys(NAMESPACE_OPS) as NamespaceOp[]
  const entries = names.map((op) => {
    const runOp: Op = (state, { content }) => askWorker(state, op, content ?? Buffer.from('{}'))
    return [op, { run: runOp, fields: NAMESPACE_OPS[op] }] as const
  })
  return Object.fromEntries(entries)
}

// ------------------------------------------------------------------------------------------------ from clients

/** The first message on a new comm of ours: what there is. */
export function greet(state: KernelState, turn: Turn, comm_id: string): void {
  const ops = Object.keys(OPS[state.comms.get(comm_id)?.target ?? ''] ?? {})
  const data = { event: 'ready', version: 1, ops, engines: ['fork'], guard: false }
  publish(state, 'comm_msg', turn.request.message.headerBytes, { content: json({ comm_id, data }) })
}

export function closeOurComm(state: KernelState, comm_id: string): boolean {
  return state.comms.get(comm_id)?.ours === true && state.comms.delete(comm_id)
}

/** Serves one request on a comm of ours; the turn ends when it is answered. */
export function serveComm(state: KernelState, turn: Turn, comm_id: string, target: string, data: unknown): void {
  const id = isObject(data) && typeof data['id'] === 'string' ? data['id'] : null
  const op = isObject(data) && typeof data['op'] === 'string' ? data['op'] : null
  const parent = turn.request.message.headerBytes
  serve(state, turn, target, data, (outcome) => {
    publish(state, 'comm_msg', parent, { content: answerOf(comm_id, { id, op, ...outcome }) })
  })
}

/** Serves an op that was not asked for by a message. */
export function serveOp(state: KernelState, turn: Turn, { id, target, data }: OpRequest): void {
  serve(state, turn, target, data, (outcome) => state.effects.push({ do: 'answer', id, outcome }))
}

function serve(
  state: KernelState,
  turn: Turn,
  target: string,
  data: unknown,
  answer: (outcome: OpOutcome) => void,
): void {
  const refuse = ({ code, message, details }: SavepointError): void => {
    answer({ ok: false, error: { code, message, details } })
    finishTurn(state, turn)
  }
  if (!isObject(data) || typeof data['op'] !== 'string') {
    refuse(new SavepointError('bad_request', 'The data of a request must be an object with an op.'))
    return
  }
  const { id: _, op, ...args } = data
  const table = OPS[target] ?? {}
  const entry = typeof op === 'string' && Object.hasOwn(table, op) ? table[op] : undefined
  if (!entry) {
    const known = Object.keys(table).join(', ')
    refuse(new SavepointError('unknown_op', `There is no op '${String(op)}' here. There are: ${known}.`, { op }))
    return
  }
  const warnings = Object.keys(args)
    .filter((key) => !entry.fields.includes(key))
    .map((key) => `Ignored the field ${key}: this version does not know it.`)
  const { header, headerBytes: parent, contentBytes: content } = turn.request.message
  const call: Call = { args, by: header.session, parent, content, afterwards: [] }
  run(state, called(entry.run, state, call), (outcome) => {
    if (outcome.ok) {
      answer({ ok: true, result: outcome.value, ...(warnings.length > 0 ? { warnings } : {}) })
      for (const tell of call.afterwards) tell()
      finishTurn(state, turn)
      return
    }
    refuse(outcome.error)
    if (state.phase === 'switching') endWithoutWorker(state, outcome.error)
  })
}

/** A result that the worker made is put in as it is. */
function answerOf(comm_id: string, data: Readonly<Record<string, unknown>>): Buffer {
  const { result, ...others } = data
  if (!(result instanceof RawJson)) return json({ comm_id, data })
  const head = JSON.stringify({ comm_id, data: others }).slice(0, -2)
  return Buffer.concat([Buffer.from(`${head},"result":`), result.bytes, Buffer.from('}}')])
}

/** Argument errors are thrown before the first step: inside a generator they reach the caller like all others. */
function* called(op: Op, state: KernelState, call: Call): Operation<unknown> {
  return yield* op(state, call)
}

function* beginOp(state: KernelState, call: Call): Operation<unknown> {
  const transaction = yield* begin(state, beginRequest(call.args, call.by, false))
  tellOf(state, call, transaction)
  return record(transaction)
}

function* rollbackOp(state: KernelState, call: Call): Operation<unknown> {
  refuseSavepoints(call.args)
  const target = find(state, call.args['transaction'])
  tellOf(state, call, target)
  return resultOf(yield* rollback(state, target, REQUESTED))
}

/** Committing a transaction that was to be rolled back in any case rolls it back. */
function* commitOp(state: KernelState, call: Call): Operation<unknown> {
  const transaction = find(state, call.args['transaction'])
  tellOf(state, call, transaction)
  if (transaction.policy === 'rollback_always') return resultOf(yield* rollback(state, transaction, REQUESTED))
  commit(state, transaction)
  return record(transaction)
}

function tellOf(state: KernelState, call: Call, transaction: Transaction): void {
  call.afterwards.push(() => emitTransaction(state, call.parent, transaction))
}

// eslint-disable-next-line require-yield
function* statusOp(state: KernelState): Operation<unknown> {
  return { transactions: state.transactions.map(record), undo_depth: 0, redo_depth: 0 }
}

function* createOp(state: KernelState, call: Call): Operation<unknown> {
  const { name, note, exclude, wait } = call.args
  const { writing, finish } = yield* checkpoints.start(state, { name, note, exclude })
  if (wait !== false) {
    const checkpoint = yield* finish()
    call.afterwards.push(() => emitCheckpoint(state, call.parent, checkpoint))
    return checkpoint
  }
  call.afterwards.push(() => {
    run(state, finish(), (outcome) => {
      const failed = { ...writing, state: 'failed' }
      emitCheckpoint(state, call.parent, outcome.ok ? outcome.value : failed)
    })
  })
  return writing
}

const REQUESTED: SwitchReason = { reason: { reason: 'requested' }, parts: [] }

function beginRequest(args: Args, openedBy: string | null, block: boolean): BeginRequest {
  const policy = policyNamed(args['policy'] ?? 'explicit')
  if (policy === null) {
    throw new SavepointError(
      'unknown_policy',
      'commit_always needs no transaction. Use explicit, rollback_on_failure or rollback_always.',
      {
        policy: 'commit_always',
      },
    )
  }
  checkEngine(args['engine'] ?? 'auto')
  return { name: checkName(args['name']), policy, openedBy, block }
}

function refuseSavepoints(args: Args): void {
  if (args['to'] === null || args['to'] === undefined) return
  throw new SavepointError(
    'unknown_op',
    'Going back to a savepoint is not built yet. Leave `to` out to go back to the begin.',
  )
}

function resultOf(report: RollbackReport): object {
  const { transaction, rollback_ms, effects, limits } = report
  return { ...record(transaction), rollback_ms, effects, limits }
}

// -------------------------------------------------------------------------------------- from code in the kernel

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
  const call: Call = { args: event.args, by: sessionOf(state), parent, content: null, afterwards: [] }
  const op = Object.hasOwn(ASKS, event.op) ? ASKS[event.op] : undefined
  if (event.op === 'begin') {
    answerBegin(state, event, call)
  } else if (event.op === 'rollback' || isRollbackByCommit(state, event)) {
    run(state, rollbackAsked(state, parts, call), (outcome) => {
      if (outcome.ok) return
      if (state.phase === 'switching') endWithoutWorker(state, outcome.error)
      else refuseAsk(state, event, outcome.error)
    })
  } else if (op) {
    run(state, called(op, state, call), (outcome) => {
      if (!outcome.ok) {
        refuseAsk(state, event, outcome.error)
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
  commit: commitOp,
  status: statusOp,
  checkpoint: createOp,
  checkpoints: (state, { args }) => checkpoints.list(state, args),
  restore: (state, { args }) => checkpoints.restore(state, args),
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

/** The worker freezes its copy itself, at the line that asked; `taken` then opens the transaction. */
function answerBegin(state: KernelState, event: Ask, call: Call): void {
  try {
    const { transaction, permit } = open(state, beginRequest(call.args, call.by, call.args['block'] === true))
    command(state, { kind: 'answer', id: event.id, ok: true, result: record(transaction), permit })
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    refuseAsk(state, event, error)
  }
}

function isRollbackByCommit(state: KernelState, event: Ask): boolean {
  if (event.op !== 'commit') return false
  const id = event.args['transaction'] ?? null
  const meant = id === null ? state.transactions.at(-1) : state.transactions.find((each) => each.id === id)
  return meant?.policy === 'rollback_always'
}

/**
 * A rollback from within a cell is never answered: the asking process ends. A `with` block's woken copy goes on with
 * the cell; else the cell ends here, and we reply for it.
 */
function* rollbackAsked(state: KernelState, parts: readonly Buffer[], call: Call): Operation<void> {
  refuseSavepoints(call.args)
  const target = find(state, call.args['transaction'])
  const { turn } = state
  const report = yield* rollback(state, target, { reason: reasonOf(call.args), parts })
  emitTransaction(state, call.parent, target)
  if (resumes(state, report.snapshot) || !turn || turn.answered || state.turn !== turn) return
  if (call.args['message'] === true) {
    publishText(state, 'stdout', call.parent, rolledBackLine(report))
  }
  if (!turn.cell) {
    finishTurn(state, turn)
    return
  }
  const metadata = replyMetadata(state, { cell: turn.cell, status: 'ok', transaction: reportOf(report) })
  finishCell(state, turn, { content: leftContent(turn.cell), metadata, failed: false })
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
