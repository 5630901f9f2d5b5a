/**
 * Subshells: further queues of requests, each served by a thread of its own in the worker, beside the main shell.
 *
 * A client makes one on the control channel and then names it in the headers of its shell requests. Each has its own
 * queue, its own turn and its own abort after an error; busy and idle are per request as ever. What concerns the whole
 * process stays with the main shell: interrupts, transactions, checkpoints, and the comms of Savepoint.
 *
 * Threads do not survive when the worker is replaced. The worker that follows gets the same subshells anew; what waits
 * for them goes on there, and what they were at is answered with `subshell_lost`.
 *
 * Docs: https://github.com/jupyter/enhancement-proposals/blob/master/91-kernel-subshells/kernel-subshells.md
 */

import { SavepointError } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { EMPTY_OBJECT, json } from '../wire/message.js'
import { waking } from './awakening.js'
import { cellEnded, handOverComms, register, takeBack } from './beside.js'
import { abortQueue, cellOf, errorContent, publishInput } from './execution.js'
import { noteChange } from './guard.js'
import { run, waitFor } from './operation.js'
import { parseObject, wishesOf } from './policy.js'
import { replyMetadata } from './reply-metadata.js'
import { command, publish, publishStatus, reply } from './send.js'
import { mint, type Cell, type KernelState, type Line, type Request, type Turn } from './state.js'

export interface Subshell extends Line {
  readonly id: string
  /** It was deleted while it was at a request, and goes when that has ended. */
  deleted: boolean
}

// ------------------------------------------------------------------------------------------- making and unmaking

/** A new one. Throws `queue_full` when there are too many. */
export function createSubshell(state: KernelState): string {
  const { subshellsMax } = state.options.limits
  if (state.subshells.size >= subshellsMax) {
    throw new SavepointError('queue_full', `A kernel has ${subshellsMax} subshells at most. Delete one first.`)
  }
  const id = mint(state)
  state.subshells.set(id, { id, queue: [], turn: null, beside: new Map(), deleted: false })
  if (hasWorker(state)) {
    command(state, { kind: 'subshell_open', subshell: id })
    // A cell that holds the main thread reads no commands.
    if (state.phase === 'busy' && state.worker?.pid) state.effects.push({ do: 'nudge_worker', pid: state.worker.pid })
  }
  return id
}

/**
 * Deletes one; `done` is called when its thread has ended, or at once if that is still at work. What waits is refused.
 * Throws the error of an unknown id.
 */
export function deleteSubshell(state: KernelState, id: unknown, done: () => void): void {
  const subshell = typeof id === 'string' ? existing(state, id) : undefined
  if (!subshell) throw new UnknownSubshell(String(id))
  subshell.deleted = true
  takeBack(state, subshell)
  for (const request of subshell.queue.splice(0)) refuse(state, request, unknownContent(subshell.id))
  if (hasWorker(state)) command(state, { kind: 'subshell_close', subshell: subshell.id })
  if (subshell.turn || !hasWorker(state)) {
    forget(state, subshell)
    done()
    return
  }
  forget(state, subshell)
  run(state, waitFor<void>(`closed:${subshell.id}`, state.options.limits.stopMs), done)
}

export function subshellIds(state: KernelState): string[] {
  return [...state.subshells.values()].filter(({ deleted }) => !deleted).map(({ id }) => id)
}

/** The subshell of that id; undefined if there is none, or it was deleted. */
export function existing(state: KernelState, id: string): Subshell | undefined {
  const subshell = state.subshells.get(id)
  return subshell?.deleted === false ? subshell : undefined
}

/** A subshell that a request names and that is not there. It is answered in ipykernel's words. */
export class UnknownSubshell extends Error {
  readonly id: string
  constructor(id: string) {
    super(`Unknown subshell_id '${id}'`)
    this.id = id
  }
}

export function unknownContent(id: string): object {
  return { status: 'error', ename: 'UnknownSubshellError', evalue: new UnknownSubshell(id).message, traceback: [] }
}

/** Busy, an error reply to what wants one, idle. */
export function refuse(state: KernelState, request: Request, content: object): void {
  const parent = request.message.headerBytes
  publishStatus(state, 'busy', parent)
  if (request.message.header.msg_type.endsWith('_request')) reply(state, request, { content: json(content) })
  publishStatus(state, 'idle', parent)
}

function forget(state: KernelState, subshell: Subshell): void {
  if (subshell.turn === null) state.subshells.delete(subshell.id)
}

function hasWorker(state: KernelState): boolean {
  return state.worker !== null && (state.phase === 'idle' || state.phase === 'busy')
}

// --------------------------------------------------------------------------------------------- turns in a subshell

/** Starts what can be started. */
export function advanceSubshells(state: KernelState): void {
  if (state.phase === 'idle' && state.worker === null) {
    const waiting = [...state.subshells.values()].flatMap(({ queue }) => queue.slice(0, 1))
    if (waiting[0]) waking(state, waiting[0])
    return
  }
  if (!hasWorker(state)) return
  for (const subshell of state.subshells.values()) {
    while (subshell.turn === null && subshell.beside.size === 0) {
      const request = subshell.queue.shift()
      if (!request) break
      if (request.message.header.msg_type === 'execute_request') startCell(state, subshell, request)
      else start(state, subshell, request, null)
    }
  }
}

function start(state: KernelState, subshell: Subshell, request: Request, cell: Cell | null): void {
  subshell.turn = { request, cell, atWorker: true, answered: false }
  noteChange(state)
  if (request.isComm) register(state, request)
  const { header, headerBytes, metadataBytes, contentBytes, buffers } = request.message
  const count = cell ? { execution_count: cell.count } : {}
  command(state, { kind: 'request', seq: request.seq, type: header.msg_type, subshell: subshell.id, ...count }, [
    headerBytes,
    metadataBytes,
    contentBytes,
    ...buffers,
  ])
  publishStatus(state, 'busy', headerBytes)
}

function startCell(state: KernelState, subshell: Subshell, request: Request): void {
  let cell: Cell
  try {
    cell = cellOf(state, parseObject(request.message.contentBytes))
    const wishes = wishesOf(request.message, cell.code)
    if (wishes.transaction) {
      throw new SavepointError(
        'engine_unavailable',
        'A transaction covers all shells of the kernel. Run the cell in the main one.',
      )
    }
    cell.warnings.push(...wishes.warnings)
  } catch (error) {
    if (!(error instanceof SavepointError)) throw error
    refuseCell(state, subshell, request, error)
    return
  }
  start(state, subshell, request, cell)
  const parent = request.message.headerBytes
  state.latestParent = parent
  state.latestClient = request.client
  if (!cell.silent) publishInput(state, parent, cell)
  if (cell.stored) {
    state.executionCount = cell.count
    if (state.snapshots.size > 0) state.inputs.push([cell.count, cell.code])
    state.effects.push({ do: 'remember', line: cell.count, source: cell.code })
  }
  if (subshell.queue.length > 0) handOverComms(state, subshell)
}

function refuseCell(state: KernelState, subshell: Subshell, request: Request, error: SavepointError): void {
  subshell.turn = { request, cell: null, atWorker: false, answered: false }
  publishStatus(state, 'busy', request.message.headerBytes)
  publish(state, 'error', request.message.headerBytes, { content: json(errorContent(error)) })
  finish(state, subshell, subshell.turn, { content: failure(errorContent(error)), failed: true })
}

type Reply = Extract<WorkerEvent, { kind: 'reply' }>

/** The worker's reply, if it is one of a subshell's. */
export function hearSubshellReply(state: KernelState, event: Reply, parts: readonly Buffer[]): boolean {
  for (const subshell of state.subshells.values()) {
    const { turn } = subshell
    if (turn?.request.seq !== event.seq || !turn.atWorker) continue
    turn.atWorker = false
    if (turn.cell && subshell.beside.size > 0) cellEnded(state, event, subshell)
    const content = parts[0] ?? EMPTY_OBJECT
    if (turn.cell) countOn(state, content)
    finish(state, subshell, turn, {
      content: event.status === null ? null : content,
      metadata: turn.cell ? replyMetadata(state, { worker: parts[1], cell: turn.cell }) : parts[1],
      failed: turn.cell !== null && event.status !== 'ok',
    })
    return true
  }
  return false
}

/** The worker counts cells of all shells together, in the order in which they end; the next number is beyond them. */
function countOn(state: KernelState, content: Buffer): void {
  let reply: Record<string, unknown>
  try {
    reply = parseObject(content)
  } catch (error) {
    // User code may have patched what makes replies.
    if (error instanceof SavepointError) return
    throw error
  }
  const { execution_count } = reply
  if (Number.isSafeInteger(execution_count)) {
    state.executionCount = Math.max(state.executionCount, execution_count as number)
  }
}

interface Result {
  /** null: a message that has no reply. */
  readonly content: Buffer | null
  readonly metadata?: Buffer | undefined
  readonly failed: boolean
}

function finish(state: KernelState, subshell: Subshell, turn: Turn, result: Result): void {
  turn.answered = true
  noteChange(state)
  const { request, cell } = turn
  const { content, metadata } = result
  const aborts = result.failed && cell?.silent !== true && cell?.stopOnError !== false && state.phase !== 'stopping'
  const end = (): void => {
    if (content) reply(state, request, { content, ...(metadata ? { metadata } : {}) })
    publishStatus(state, 'idle', request.message.headerBytes)
    subshell.turn = null
    if (aborts) abortQueue(state, subshell)
    if (subshell.deleted) forget(state, subshell)
  }
  if (!aborts) {
    end()
    return
  }
  state.effects.push({ do: 'settle', seq: request.seq })
  run(state, waitFor<void>(`settled:${request.seq}`, state.options.limits.settleMs), end)
}

function failure(error: object): Buffer {
  return json({ status: 'error', ...error, execution_count: 0, user_expressions: {}, payload: [] })
}

// ------------------------------------------------------------------------------------- when the worker is replaced

/** The worker was given up, and its threads with it. */
export function loseSubshells(state: KernelState, error: SavepointError = LOST): void {
  for (const subshell of state.subshells.values()) {
    takeBack(state, subshell)
    const { turn } = subshell
    if (!turn || turn.answered) continue
    turn.atWorker = false
    const { msg_type } = turn.request.message.header
    const content = errorContent(error)
    if (turn.cell) publish(state, 'error', turn.request.message.headerBytes, { content: json(content) })
    finish(state, subshell, turn, {
      content: !msg_type.endsWith('_request') ? null : failure(content),
      metadata: turn.cell ? replyMetadata(state, { cell: turn.cell, status: 'error' }) : undefined,
      failed: turn.cell !== null,
    })
  }
}

const LOST = new SavepointError(
  'subshell_lost',
  'The worker was replaced, and threads do not survive that. What this request did until then is lost. Send it again.',
)

/** What a rollback does to subshells that are at work, in words for its `limits`. */
export function subshellsAtWork(state: KernelState): string[] {
  const count = [...state.subshells.values()].filter(({ turn }) => turn?.atWorker).length
  return count === 0 ? [] : [`requests that were at work in subshells: ${count}`]
}

const NONE: ReadonlySet<string> = new Set()

/** The next worker has been welcomed, or the one that there is goes on, with those that are `open`. */
export function openSubshells(state: KernelState, open: ReadonlySet<string> = NONE): void {
  for (const subshell of subshellIds(state)) {
    if (!open.has(subshell)) command(state, { kind: 'subshell_open', subshell })
  }
}
