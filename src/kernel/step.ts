/**
 * The kernel's policy: `step(state, event, now)` says what is to be done.
 *
 * Theory of operation. A kernel serves one request at a time, its *turn*; all others wait in the queue. A turn ends
 * when the reply was sent and idle was published for it. The worker sees only what it is given in a turn, and whatever
 * replaces the worker (see `switching`) does so within a turn or between two.
 *
 * Nothing here waits, reads a clock or opens anything. What takes time is an effect whose end comes back as an event;
 * operations of several steps are generators that such events resume (see `operation`).
 *
 * Invariant: every request gets exactly one busy and one idle, and every `_request` that we serve one reply between.
 * Invariant: frames of a worker that was given up are dropped here, by their generation.
 */

import { SavepointError, unreachable } from '../errors.js'
import type { WorkerEvent } from '../link/protocol.js'
import { EMPTY_OBJECT, json } from '../wire/message.js'
import { follow, lookAhead } from './ahead.js'
import { watchClocks } from './auto-checkpoints.js'
import { cellEnded, gaveBack, served } from './beside.js'
import { zygoteWarm } from './awakening.js'
import { noteSender, openComm } from './comms.js'
import { endForGood, WITH_ZYGOTE, workerDied } from './death.js'
import { hearDebugger, serveDebugger } from './debugging.js'
import type { Effect, KernelEvent } from './effects.js'
import { endCell, finishTurn, withdrawCell } from './execution.js'
import { leftBehind } from './forked.js'
import { copied, kernelsMade } from './forks.js'
import { guardAtRest, prune } from './guard.js'
import { abandon, ask } from './input.js'
import { clientGone } from './lapses.js'
import { noteHanging } from './moving.js'
import { movedHost } from './keeping.js'
import { emitEnded } from './events.js'
import { failWaits, settle } from './operation.js'
import { serveAsk } from './asks.js'
import { parseObject } from './policy.js'
import { keepWithinBudget, notePressure, tellOfLoss, weighAtRest } from './pressure.js'
import { receiveOp, withdrawOp } from './op-requests.js'
import { answerInfo } from './answers.js'
import { advance, interrupt, receive } from './requests.js'
import { log, publish, publishStatus, reply } from './send.js'
import { stop } from './shutdown.js'
import { publishStream, release } from './streams.js'
import { drop, estimatedBytes } from './snapshots.js'
import { cue, newState, parentOf, type KernelOptions, type KernelState } from './state.js'
import { interruptNoticed } from './stubborn.js'
import { hearSubshellReply } from './subshells.js'
import { hearTaken } from './taken.js'
import { hearWriter } from './writers.js'

/** A kernel that has just come to life, and the first things to do. `now`: milliseconds since the epoch. */
export function start(options: KernelOptions, now: number): { state: KernelState; effects: readonly Effect[] } {
  const state = newState(options)
  state.now = now
  publishStatus(state, 'starting', EMPTY_OBJECT)
  if (options.lazy) cue(state, 'asleep')
  return { state, effects: state.effects.splice(0) }
}

/** Takes one event; the effects are to be performed in their order. `now`: milliseconds since the epoch. */
export function step(state: KernelState, event: KernelEvent, now: number): readonly Effect[] {
  state.now = now
  if (state.phase === 'dead') return []
  take(state, event)
  advance(state)
  guardAtRest(state)
  weighAtRest(state)
  watchClocks(state)
  lookAhead(state)
  serveDebugger(state)
  // In a turn they are told of at its end, after the answer to whoever asked.
  if (state.turn === null) emitEnded(state, state.latestParent)
  return state.effects.splice(0)
}

function take(state: KernelState, event: KernelEvent): void {
  switch (event.on) {
    case 'message':
      return receive(state, event)
    case 'op':
      return receiveOp(state, event)
    case 'withdraw':
      return withdrawOp(state, event.id)
    case 'withdraw_cell':
      return withdrawCell(state, event)
    case 'client_gone':
      return clientGone(state, event.client)
    case 'worker':
      return event.generation === state.generation ? hear(state, event.event, event.parts) : undefined
    case 'output':
      return publishStream(state, event.name, state.latestParent, event.text)
    case 'worker_up':
      return workerUp(state, event.token, event.pid)
    case 'worker_died':
      return event.generation === state.generation ? workerDied(state, event.cause) : undefined
    case 'worker_failed': {
      const error = new SavepointError('snapshot_failed', `No worker could be started: ${event.reason}.`)
      return void settle(state, `up:${event.token}`, null, error)
    }
    case 'zygote_ready':
      return warm(state, event.kernelInfo)
    case 'zygote_died':
      return zygoteDied(state)
    case 'copied':
      return copied(state, event.name, event.error)
    case 'kernels_made':
      return kernelsMade(state, event.id, event.outcome)
    case 'trim':
      return keepWithinBudget(state, event.bytesMax, { momentsMin: event.momentsMin, held: estimatedBytes })
    case 'snapshot_gone':
      return snapshotGone(state, event.snapshot)
    case 'writer':
      return hearWriter(state, event.event, event.parts)
    case 'debugger_up':
    case 'debugger_gone':
    case 'debugger':
      return hearDebugger(state, event)
    case 'store': {
      const { outcome } = event
      const key = `store:${event.id}`
      if (outcome.ok) settle(state, key, outcome.value)
      else
        settle(
          state,
          key,
          null,
          new SavepointError(codeOf(outcome.error.code), outcome.error.message, outcome.error.details),
        )
      return
    }
    case 'measured':
      return void settle(state, event.id, event.usage)
    case 'weighed':
      return void settle(state, event.id, event.bytes)
    case 'deadline':
      return void settle(state, event.id, null, new SavepointError('timeout', 'This took too long and was given up.'))
    case 'settled':
      return void settle(state, event.seq === undefined ? 'settled' : `settled:${event.seq}`, null)
    case 'interrupt':
      return interrupt(state)
    case 'terminate':
      return stop(state, { code: event.code, restart: false, request: null })
    case 'workers_stopped':
      return void settle(state, 'workers_stopped', null)
    case 'host_moved':
      return movedHost(state, event.seenAt ?? 0)
    case 'hold_checkpoints':
      state.auto.isHeld = event.held
      return
    default:
      return unreachable(event)
  }
}

/** What the kernel's worker says. */
function hear(state: KernelState, event: WorkerEvent, parts: readonly Buffer[]): void {
  switch (event.kind) {
    case 'stream': {
      const [text] = parts
      return text
        ? publishStream(state, event.name, parentOf(state, event.parent), text, event.flushed === true)
        : undefined
    }
    case 'publish': {
      const [content, metadata, ...buffers] = parts
      followComms(state, event)
      if (event.type === 'clear_output') release(state)
      const body = { content: content ?? EMPTY_OBJECT, metadata: metadata ?? EMPTY_OBJECT, buffers }
      return publish(state, event.type, parentOf(state, event.parent), body)
    }
    case 'reply':
      return hearReply(state, event, parts)
    case 'served':
      return served(state, event.seq)
    case 'returned':
      return gaveBack(state, event.seq)
    case 'subshell_closed':
      return void settle(state, `closed:${event.subshell}`, null)
    case 'input_request':
      release(state)
      return ask(state, event, parts[0] ?? EMPTY_OBJECT)
    case 'input_abandoned':
      return abandon(state, event.id)
    case 'ask':
      return serveAsk(state, event, parts)
    case 'taken':
      return hearTaken(state, event)
    case 'left_behind':
      return leftBehind(state, event.limits)
    case 'hangs':
      return noteHanging(state, event.libraries)
    case 'handed_over':
      return void settle(state, `handed_over:${event.snapshot}`, event)
    case 'put_back':
      return void settle(state, `put_back:${event.snapshot}`, event)
    case 'undone':
      return void settle(state, `undone:${event.snapshot}`, event)
    case 'forked_writer':
      return void settle(state, `forked_writer:${event.checkpoint}`, event)
    case 'restored':
      return void settle(state, `restored:${event.id}`, event)
    case 'namespace':
      return void settle(state, `namespace:${event.id}`, { event, result: parts[0] })
    case 'interrupted':
      return interruptNoticed(state)
    case 'debug_info':
      state.debugging.info = parts[0] ?? null
      return
    case 'log':
      return log(state, event.level, 'worker_says', { text: event.text })
    default:
      return unreachable(event)
  }
}

type ReplyEvent = Extract<WorkerEvent, { kind: 'reply' }>

function hearReply(state: KernelState, event: ReplyEvent, parts: readonly Buffer[]): void {
  if (state.subshells.size > 0 && hearSubshellReply(state, event, parts)) return
  interruptNoticed(state, event.seq)
  const { turn } = state
  // A reply for another turn is that of a cell whose frames were left after a rollback: it has been answered.
  if (!turn?.atWorker || turn.request.seq !== event.seq || (state.phase !== 'busy' && state.phase !== 'stopping'))
    return
  turn.atWorker = false
  if (turn.cell) {
    if (state.beside.size > 0) cellEnded(state, event)
    notePressure(state, event)
    const { ahead } = state
    state.ahead = null
    endCell(state, turn, turn.cell, event, parts)
    if (event.begins !== undefined) follow(state, event.begins, ahead)
    return
  }
  if (event.status !== null)
    reply(state, turn.request, { content: parts[0] ?? EMPTY_OBJECT, metadata: parts[1] ?? EMPTY_OBJECT })
  finishTurn(state, turn)
}

function followComms(state: KernelState, event: Extract<WorkerEvent, { kind: 'publish' }>): void {
  if (event.comm_id === undefined) return
  if (event.type === 'comm_open') openComm(state.comms, event.comm_id, event.target_name ?? '')
  else if (event.type === 'comm_close') state.comms.delete(event.comm_id)
  if (state.subshells.size > 0) noteSender(state.comms, event.comm_id, parentOf(state, event.parent))
}

function warm(state: KernelState, fromWorker: Buffer): void {
  const kernelInfo = withFeatures(state, fromWorker)
  state.kernelInfo = kernelInfo
  state.debugging.possible = parseObject(kernelInfo)['debugger'] === true
  for (const request of state.infoPending.splice(0)) answerInfo(state, request, kernelInfo)
  zygoteWarm(state)
}

/** What the gateway can do beside the worker. */
function withFeatures(state: KernelState, kernelInfo: Buffer): Buffer {
  if (!state.options.offersSubshells) return kernelInfo
  const content = parseObject(kernelInfo)
  const features = Array.isArray(content['supported_features']) ? content['supported_features'] : []
  return json({ ...content, supported_features: [...features, 'kernel subshells'] })
}

function workerUp(state: KernelState, token: string, pid: number): void {
  if (state.worker?.token !== token) return
  state.worker = { ...state.worker, pid }
  state.workerSince = state.now
  settle(state, `up:${token}`, null)
}

/** Workers and snapshots end with their zygote: nothing is left to go on with. */
function zygoteDied(state: KernelState): void {
  if (state.phase === 'stopping') {
    state.worker = null
    failWaits(state, ['forked_writer:', 'written:'], new SavepointError('kernel_dead', 'The zygote is gone.'))
    settle(state, 'worker_ended', null)
    settle(state, 'workers_stopped', null)
    return
  }
  log(state, 'error', 'zygote_died')
  endForGood(state, WITH_ZYGOTE)
}

function snapshotGone(state: KernelState, id: string): void {
  if (state.worker?.snapshot === id && state.worker.pid === null) {
    // It was killed just before it was to be woken: nobody will dial in.
    settle(state, `up:${state.worker.token}`, null, new SavepointError('snapshot_failed', 'The snapshot is gone.'))
    return
  }
  const snapshot = state.snapshots.get(id)
  if (state.worker?.pid) state.effects.push({ do: 'command', command: { kind: 'forget', snapshot: id }, parts: [] })
  if (!snapshot) return
  const isNewest = state.guard.past.at(-1)?.snapshot === id
  drop(state, snapshot)
  if (snapshot.kind === 'guard') prune(state)
  if (isNewest) tellOfLoss(state)
  settle(state, `taken:${id}`, null, new SavepointError('snapshot_failed', 'The snapshot was ended by somebody.'))
  const lost = state.transactions.find((each) => each.snapshot === id)
  if (lost) log(state, 'warn', 'snapshot_lost', { transaction: lost.id })
}

type Code = ConstructorParameters<typeof SavepointError>[0]
function codeOf(code: string): Code {
  return code as Code
}
