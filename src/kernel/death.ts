/**
 * A worker that died: what the cell is told, and how the kernel goes on or ends.
 *
 * A snapshot that was frozen in the course of the running cell brings the state back (a policy's, or that of a `with`
 * block). Without one the kernel is given an empty worker if it may recover; else it ends with the worker, since
 * clients such as nbclient learn of a death by the process that they started.
 */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import { dropDebugger } from './debugger-state.js'
import type { DeathCause } from './effects.js'
import { comesFrom, endComeback, newComeback } from './comeback.js'
import { emitTransaction } from './events.js'
import { abortQueue, finishCell, finishTurn, reportOf } from './execution.js'
import { failWaits, run, settle } from './operation.js'
import { replyMetadata, type Recovery, type TransactionReport } from './reply-metadata.js'
import {
  comebackLine,
  keepsFalling,
  noteFall,
  noticeOfLoss,
  recover,
  tellOfComeback,
  transactionToRollBack,
  waysBack,
} from './recovery.js'
import { log, publish, publishText, reply } from './send.js'
import { stop } from './shutdown.js'
import { cue, type Cell, type KernelState, type Turn } from './state.js'
import { interruptNoticed } from './stubborn.js'
import { forkFresh } from './switching.js'
import { rollback } from './rollback.js'
import { loseAll, type Transaction } from './transactions.js'

/** Waits that only a living worker can end. */
const WORKER_WAITS = ['taken:', 'put_back:', 'handed_over:', 'undone:', 'forked_writer:', 'restored:', 'namespace:']

export function workerDied(state: KernelState, died: DeathCause): void {
  const { endedFor } = state
  const cause = endedFor?.generation === state.generation ? { ...died, why: endedFor.why, name: 'interrupt' } : died
  interruptNoticed(state)
  settle(state, 'worker_ended', null)
  if (state.phase === 'dead') return
  state.lastWorker = state.worker
  state.worker = null
  if (state.phase === 'stopping') {
    failWaits(state, WORKER_WAITS, new SavepointError('kernel_dead', `The worker ${describe(cause)}.`))
    return
  }
  noteFall(state, cause)
  dropDebugger(state, 'the worker died')
  state.questions.length = 0
  log(state, 'warn', 'worker_died', { generation: state.generation, cause: nameOf(cause), reason: describe(cause) })
  // A worker that was lost with the state that it was to restore is followed by another one.
  const restoring = state.lastState === 'restoring' || state.comeback !== null || state.restoring !== null
  const switching = state.phase === 'switching' || restoring
  failWaits(state, WORKER_WAITS, new SavepointError('kernel_dead', `The worker ${describe(cause)}.`))
  // During a switch the old worker was about to be ended anyway: the operation goes on without its hand-over.
  if (switching) return
  const turn = unanswered(state)
  const target = turn ? transactionToRollBack(state, turn) : null
  if (turn?.cell && target) {
    recoverByRollback(state, turn, turn.cell, target, cause)
  } else {
    endWithoutWorker(state, new SavepointError('kernel_dead', `The worker ${describe(cause)}.`), cause)
  }
}

function unanswered(state: KernelState): Turn | null {
  return state.turn?.answered === false ? state.turn : null
}

function recoverByRollback(state: KernelState, turn: Turn, cell: Cell, target: Transaction, cause: DeathCause): void {
  const content = errorOf(cause)
  const resumes = state.snapshots.get(target.snapshot)?.block === true
  const reason = {
    reason: 'worker_died' as const,
    ename: content.ename,
    evalue: content.evalue,
    traceback: content.traceback,
  }
  run(state, rollback(state, target, { reason, parts: [] }), (outcome) => {
    if (!outcome.ok) {
      endWithoutWorker(state, outcome.error, cause)
      return
    }
    emitTransaction(state, turn.request.message.headerBytes, target)
    // In a `with` block the woken copy goes on: it raises RolledBack there, and the cell has a reply of its own.
    if (!resumes) failCell(state, turn, cell, cause, { transaction: reportOf(outcome.value), recovery: null })
  })
}

/** The kernel has no worker any more: the guard brings it back, or it goes on with an empty one, or it ends. */
export function endWithoutWorker(state: KernelState, error: SavepointError, cause: DeathCause = UNKNOWN_CAUSE): void {
  if (state.phase === 'stopping' || state.phase === 'dead') return
  const turn = unanswered(state)
  if (waysBack(state, turn).length === 0) {
    goOnEmpty(state, error, cause)
    return
  }
  const own = turn?.cell?.transaction ?? null
  if (state.phase !== 'switching') cue(state, 'switch')
  recover(state, nameOf(cause), (outcome) => {
    if (!outcome.ok) {
      goOnEmpty(state, outcome.error, cause)
      return
    }
    const { recovery } = outcome.value
    const transaction: TransactionReport | null = own ? { transaction: own, outcome: 'lost' } : null
    const parent = turn?.request.message.headerBytes ?? state.latestParent
    if (turn) {
      noticeOfLoss(state, parent, recovery)
      failTurn(state, turn, cause, { transaction, recovery })
    } else {
      const text = `The Python process ${describe(cause)}. ${AS_IT_WAS}`
      state.notices.push(text)
      publishText(state, 'stderr', parent, `${text}\n`)
      noticeOfLoss(state, parent, recovery)
    }
  })
}

function goOnEmpty(state: KernelState, error: SavepointError, cause: DeathCause): void {
  if (state.phase === 'stopping' || state.phase === 'dead') return
  const turn = unanswered(state)
  log(state, 'error', 'worker_lost', { code: error.code, message: error.message })
  loseAll(state, 'the worker died')
  const none = { cause: nameOf(cause), restored_from: 'none', lost: [], background_s: 0 } as const
  const own = turn?.cell?.transaction ?? null
  const transaction: TransactionReport | null = own ? { transaction: own, outcome: 'lost' } : null
  if (!state.options.recover || (keepsFalling(state) && state.lastWorker?.snapshot === null)) {
    endForGood(state, cause, { transaction, recovery: state.options.recover ? none : null })
    return
  }
  state.lastState = 'lost'
  const head = comesFrom(state)
  if (head !== null) state.comeback ??= newComeback(head, state.timeline.cells, turn?.cell?.count)
  if (state.phase !== 'switching') cue(state, 'switch')
  forkFresh(
    state,
    () => {
      const recovery = endComeback(state, nameOf(cause))
      tellOfComeback(state, recovery, `The Python process ${describe(cause)}.`)
      if (turn) failTurn(state, turn, cause, { transaction, recovery })
    },
    (failure) => {
      if (!state.shutdown) log(state, 'error', 'recovery_failed', { code: failure.code, message: failure.message })
      endForGood(state, cause, { transaction, recovery: null })
    },
  )
}

/** The running request is told, then the kernel ends, with the exit code that the worker's death gives. */
export function endForGood(state: KernelState, cause: DeathCause, aftermath: Aftermath = NO_AFTERMATH): void {
  state.worker = null
  const tell = (): void => {
    const turn = unanswered(state)
    if (turn) failTurn(state, turn, cause, aftermath)
    abortQueue(state)
  }
  if (state.shutdown) tell()
  else stop(state, { code: exitCode(cause), restart: false, request: null }, tell)
}

interface Aftermath {
  readonly transaction: TransactionReport | null
  readonly recovery: Recovery | null
}

/** For a request that the worker owed an answer to; what operations of ours serve, they end themselves. */
function failTurn(state: KernelState, turn: Turn, cause: DeathCause, aftermath: Aftermath): void {
  if (state.turn !== turn || turn.answered) return
  if (turn.cell) {
    failCell(state, turn, turn.cell, cause, aftermath)
  } else if (turn.atWorker) {
    if (turn.request.message.header.msg_type.endsWith('_request')) {
      reply(state, turn.request, { content: json({ status: 'error', ...errorOf(cause) }) })
    }
    finishTurn(state, turn)
  }
}

function failCell(state: KernelState, turn: Turn, cell: Cell, cause: DeathCause, aftermath: Aftermath): void {
  const { recovery } = aftermath
  const after = recovery?.restored_from === 'guard' ? AS_BEFORE : recovery?.checkpoint ? comebackLine(recovery) : ''
  const content = errorOf(cause, after && ` ${after}`)
  publish(state, 'error', turn.request.message.headerBytes, { content: json(content) })
  const execution_count = cell.stored ? cell.count : cell.count - 1
  finishCell(state, turn, {
    content: json({ status: 'error', ...content, execution_count, user_expressions: {}, payload: [] }),
    metadata: replyMetadata(state, { cell, status: 'error', ...aftermath }),
    failed: true,
  })
}

/** Workers and copies end with their zygote. */
export const WITH_ZYGOTE: DeathCause = {
  code: null,
  signal: null,
  why: 'the process that it was started from, its zygote, is gone',
  name: 'zygote',
}
const NO_AFTERMATH: Aftermath = { transaction: null, recovery: null }
const UNKNOWN_CAUSE: DeathCause = { code: null, signal: null }

const EXPLANATIONS: Readonly<Record<string, string>> = {
  SIGSEGV: 'a segmentation fault: code outside Python touched memory that is not its own',
  SIGBUS: 'a bus error: a mapped file was cut short, or memory is damaged',
  SIGABRT: 'it aborted itself, as C libraries do when an assertion fails',
  SIGILL: 'an illegal instruction: a library was built for another processor',
  SIGFPE: 'an arithmetic error in code outside Python',
  SIGKILL: 'somebody killed it; the system does so when memory runs out',
  SIGTERM: 'somebody asked it to end',
}

const AS_BEFORE = 'The state before this cell is back.'
const AS_IT_WAS = 'The state is as it was after the last cell.'

function errorOf(cause: DeathCause, more = ''): { ename: string; evalue: string; traceback: string[] } {
  const evalue = `The Python process ${describe(cause)}.${more}`
  return { ename: 'WorkerDied', evalue, traceback: [`WorkerDied: ${evalue}`] }
}

/** What became of the process, as the end of a sentence: signal, limit or exit code. */
export function describe(cause: DeathCause): string {
  if (cause.why !== undefined) return `was ended, since ${cause.why}`
  if (cause.signal) {
    const why = EXPLANATIONS[cause.signal.name]
    return `was ended by ${cause.signal.name}${why ? ` (${why})` : ''}`
  }
  return cause.code === null ? 'ended' : `ended by itself with exit code ${cause.code}`
}

function nameOf(cause: DeathCause): string {
  return cause.name ?? cause.signal?.name ?? `exit code ${cause.code ?? 'unknown'}`
}

function exitCode(cause: DeathCause): number {
  return cause.signal ? 128 + cause.signal.number : cause.code || 1
}
