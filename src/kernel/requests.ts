/**
 * Requests: which are answered at once, which wait for their turn, and who serves them.
 *
 * Shell requests are served one after another. What must work while a cell runs is answered on arrival: the requests of
 * the control channel that need no worker. A kernel_info on shell has its turn like others, but not for ever: clients ask
 * it to find out whether we live. Every request is bracketed by busy and idle with its header as parent.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-shell-router-dealer-channel
 */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import { answering, answerInfo, bracketed, queueFull, refuse, replyError, type Handler } from './answers.js'
import { takeMoment } from './auto-checkpoints.js'
import { startZygote, waking } from './awakening.js'
import { commOf, handOverComms, isComm } from './beside.js'
import { commInfo, openComm } from './comms.js'
import type { KernelEvent } from './effects.js'
import { errorContent, finishTurn, startCell } from './execution.js'
import { noteChange } from './guard.js'
import { answer } from './input.js'
import { startEnding } from './lapses.js'
import { dueMove, startMoving } from './moving.js'
import { run, settle, waitFor } from './operation.js'
import { startOp } from './op-requests.js'
import { closeOurComm, greet, servedAtOnce, serveComm } from './ops.js'
import { parseObject } from './policy.js'
import { interruptRestore } from './restoring.js'
import { command, log, publishStatus, reply } from './send.js'
import { stop } from './shutdown.js'
import { watchInterrupt } from './stubborn.js'
import {
  advanceSubshells,
  createSubshell,
  deleteSubshell,
  existing,
  refuse as refuseWith,
  subshellIds,
  unknownContent,
  UnknownSubshell,
} from './subshells.js'
import { cue, rememberParent, type KernelState, type Request, type Turn } from './state.js'

type MessageEvent = Extract<KernelEvent, { on: 'message' }>

export function receive(state: KernelState, { channel, client, message }: MessageEvent): void {
  if (channel === 'stdin') {
    answer(state, client, message)
    return
  }
  const request: Request = { seq: state.nextSeq, channel, client, message, isComm: isComm(message) }
  state.nextSeq += 1
  if (channel === 'control') state.control = { header: message.header, toldTo: -1 }
  rememberParent(state, message, client)
  const type = message.header.msg_type
  const id = channel === 'shell' ? subshellFor(state, request) : null
  if (id !== null) {
    receiveInSubshell(state, request, id)
    return
  }
  const atOnce = AT_ONCE.get(type) ?? (channel === 'control' ? AT_ONCE_ON_CONTROL.get(type) : undefined)
  if (atOnce) {
    const waits = channel === 'shell' && state.phase === 'busy' && queueInfo(state, request)
    if (!waits) atOnce(state, request)
  } else if (request.isComm && servedAtOnce(state, request)) {
    // Done.
  } else if (isFull(state)) {
    refuse(state, request, queueFull())
  } else {
    state.queue.push(request)
    if (state.turn !== null && request.isComm) handOverComms(state)
    advance(state)
  }
}

export function isFull({ queue, beside, options }: KernelState): boolean {
  return queue.length + beside.size >= options.limits.queueLengthMax
}

/** Lets a kernel_info wait for its turn, but not longer than clients have patience. False: it is not to wait. */
function queueInfo(state: KernelState, request: Request): boolean {
  if (state.kernelInfo === null || isFull(state) || state.options.limits.infoPatienceMs === 0) return false
  state.queue.push(request)
  run(state, waitFor(infoKey(request), state.options.limits.infoPatienceMs), () => {
    const place = state.queue.indexOf(request)
    if (place < 0) return
    state.queue.splice(place, 1)
    if (state.kernelInfo !== null) answerInfo(state, request, state.kernelInfo)
  })
  return true
}

const infoKey = (request: Request): string => `info ${request.seq}`

/** The id of the subshell that serves a request; null: the main shell. */
function subshellFor(state: KernelState, request: Request): string | null {
  const named = request.message.header.subshell_id
  const id = typeof named === 'string' ? named : null
  if ((id === null && state.subshells.size === 0) || !request.isComm) return id
  const comm = commOf(state, request)
  if (comm?.ours) return null
  // As in ipykernel, what a client says on a comm goes to the code that spoke last on it; if that is gone, to the main shell.
  if (comm?.sentFrom === undefined) return id
  return comm.sentFrom !== null && existing(state, comm.sentFrom) ? comm.sentFrom : null
}

function receiveInSubshell(state: KernelState, request: Request, id: string): void {
  const subshell = existing(state, id)
  const type = request.message.header.msg_type
  const atOnce = AT_ONCE.get(type) ?? AT_ONCE_IN_SUBSHELL.get(type)
  if (!subshell) {
    log(state, 'info', 'unknown_subshell', { type })
    refuseWith(state, request, unknownContent(id))
  } else if (atOnce) {
    atOnce(state, request)
  } else if (subshell.queue.length + subshell.beside.size >= state.options.limits.queueLengthMax) {
    refuse(state, request, queueFull())
  } else {
    subshell.queue.push(request)
    if (subshell.turn !== null && request.isComm) handOverComms(state, subshell)
  }
}

/**
 * Starts the next request's turn, as long as nothing is in the way. What the worker may yet give back is in the way,
 * since it came before what waits here; and so is a restore that a task of the user's asked for.
 */
export function advance(state: KernelState): void {
  while (state.phase === 'idle' && state.turn === null && state.beside.size === 0 && state.restoring === null) {
    takeMoment(state)
    const move = dueMove(state)
    if (move) state.queue.unshift(move)
    const [request] = state.queue
    if (!request || waking(state, request)) break
    state.queue.shift()
    if (request.message.header.msg_type === 'execute_request') startCell(state, request)
    else startRequest(state, request)
  }
  if (state.subshells.size > 0) advanceSubshells(state)
}

function startRequest(state: KernelState, request: Request): void {
  cue(state, 'turn')
  const turn: Turn = { request, cell: null, atWorker: false, answered: false }
  state.turn = turn
  publishStatus(state, 'busy', request.message.headerBytes)
  if (request.op) {
    startOp(state, turn, request.op)
    return
  }
  if (request.ending) {
    startEnding(state, turn, request.ending)
    return
  }
  if (request.moves) {
    startMoving(state, turn)
    return
  }
  const handler = IN_TURN.get(request.message.header.msg_type) ?? toWorker
  if (!answering(state, request, () => handler(state, turn))) finishTurn(state, turn)
}

type TurnHandler = (state: KernelState, turn: Turn) => void

const IN_TURN = tableOf<TurnHandler>({
  // Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#history
  history_request: (state, turn) => historyReply(state, turn.request, () => finishTurn(state, turn)),
  kernel_info_request(state, turn) {
    // It is in the queue no more, so whoever is patient for it has nothing left to do.
    settle(state, infoKey(turn.request), null)
    inTurn(state, turn, (_, request) => reply(state, request, { content: state.kernelInfo ?? json({}) }))
  },
  // On shell it comes when what it was meant for has ended.
  interrupt_request: (state, turn) => inTurn(state, turn, interruptReply),
  comm_info_request: (state, turn) => inTurn(state, turn, commInfoReply),
  connect_request: (state, turn) => inTurn(state, turn, connectReply),
  shutdown_request: (state, turn) => shutdownReply(state, turn.request),
  comm_open(state, turn) {
    const { comm_id, target_name } = parseObject(turn.request.message.contentBytes)
    if (typeof comm_id !== 'string' || typeof target_name !== 'string') {
      throw new SavepointError('bad_request', 'A comm_open needs comm_id and target_name.')
    }
    openComm(state.comms, comm_id, target_name)
    if (state.comms.get(comm_id)?.ours) {
      greet(state, turn, comm_id)
      finishTurn(state, turn)
    } else {
      toWorker(state, turn)
    }
  },
  comm_msg(state, turn) {
    const { comm_id, data } = parseObject(turn.request.message.contentBytes)
    const comm = typeof comm_id === 'string' ? state.comms.get(comm_id) : undefined
    if (comm?.ours && typeof comm_id === 'string') serveComm(state, turn, comm_id, comm.target, data)
    else toWorker(state, turn)
  },
  comm_close(state, turn) {
    const { comm_id } = parseObject(turn.request.message.contentBytes)
    if (typeof comm_id === 'string' && closeOurComm(state, comm_id)) {
      finishTurn(state, turn)
      return
    }
    if (typeof comm_id === 'string') state.comms.delete(comm_id)
    toWorker(state, turn)
  },
})

/** Requests that change nothing. */
const LOOKS: ReadonlySet<string> = new Set(['complete_request', 'inspect_request', 'is_complete_request'])

/** Also for types that we do not know: code in the worker may have registered a handler for them. */
function toWorker(state: KernelState, turn: Turn): void {
  const { request } = turn
  turn.atWorker = true
  if (!LOOKS.has(request.message.header.msg_type)) noteChange(state)
  const { header, headerBytes, metadataBytes, contentBytes, buffers } = request.message
  const parts = [headerBytes, metadataBytes, contentBytes, ...buffers]
  command(state, { kind: 'request', seq: request.seq, type: header.msg_type }, parts)
}

function inTurn(state: KernelState, turn: Turn, handler: Handler): void {
  handler(state, turn.request)
  finishTurn(state, turn)
}

const AT_ONCE = tableOf<Handler>({
  kernel_info_request(state, request) {
    if (state.kernelInfo !== null) answerInfo(state, request, state.kernelInfo)
    else if (state.infoPending.length < state.options.limits.queueLengthMax) {
      state.infoPending.push(request)
      startZygote(state)
    } else refuse(state, request, queueFull())
  },
})

const AT_ONCE_ON_CONTROL = tableOf<Handler>({
  // Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-interrupt
  interrupt_request: bracketed((state, request) => {
    if (!isOlderThanTurn(state, request)) interrupt(state)
    interruptReply(state, request)
  }),
  shutdown_request: shutdownOnArrival,
  // Docs: https://github.com/jupyter/enhancement-proposals/blob/master/91-kernel-subshells/kernel-subshells.md
  create_subshell_request: bracketed((state, request) => {
    reply(state, request, { content: json({ status: 'ok', subshell_id: createSubshell(state) }) })
  }),
  delete_subshell_request(state, request) {
    const parent = request.message.headerBytes
    publishStatus(state, 'busy', parent)
    const end = (content: object): void => {
      reply(state, request, { content: json(content) })
      publishStatus(state, 'idle', parent)
    }
    try {
      const { subshell_id } = parseObject(request.message.contentBytes)
      deleteSubshell(state, subshell_id, () => end({ status: 'ok' }))
    } catch (error) {
      if (error instanceof UnknownSubshell) end(unknownContent(error.id))
      else if (error instanceof SavepointError) end({ status: 'error', ...errorContent(error) })
      else throw error
    }
  },
  list_subshell_request: bracketed((state, request) => {
    reply(state, request, { content: json({ status: 'ok', subshell_id: subshellIds(state) }) })
  }),
  comm_info_request: bracketed(commInfoReply),
  connect_request: bracketed(connectReply),
  usage_request: measureUsage,
  debug_request(state, request) {
    const { queue } = state.debugging
    if (queue.length < state.options.limits.queueLengthMax) queue.push(request)
    else refuse(state, request, queueFull())
  },
})

/** Not in the specification: what JupyterLab and jupyter-resource-usage ask, and ipykernel answers. */
function measureUsage(state: KernelState, request: Request): void {
  if (state.shutdown) {
    // The kernel may be gone before anything is measured, and idle must not stay away.
    refuse(state, request, new SavepointError('kernel_restarting', 'The kernel is shutting down.'))
    return
  }
  const parent = request.message.headerBytes
  publishStatus(state, 'busy', parent)
  const id = `usage ${request.seq}`
  const frozen = [...state.snapshots.values()].flatMap(({ pid }) => pid ?? [])
  state.effects.push({ do: 'measure', id, worker: state.worker?.pid ?? null, frozen })
  run(state, waitFor<object>(id, state.options.limits.usageMs), (outcome) => {
    if (outcome.ok) reply(state, request, { content: json(outcome.value) })
    else replyError(state, request, outcome.error)
    publishStatus(state, 'idle', parent)
  })
}

/** What needs no worker does not wait for a subshell's thread. */
const AT_ONCE_IN_SUBSHELL = tableOf<Handler>({
  comm_info_request: bracketed(commInfoReply),
  connect_request: bracketed(connectReply),
  history_request(state, request) {
    const parent = request.message.headerBytes
    publishStatus(state, 'busy', parent)
    const idle = (): void => publishStatus(state, 'idle', parent)
    if (!answering(state, request, () => historyReply(state, request, idle))) idle()
  },
  shutdown_request: shutdownOnArrival,
})

/** Types of messages are whatever a client writes: a map, since an object also has keys that nobody put there. */
function tableOf<H>(handlers: Readonly<Record<string, H>>): ReadonlyMap<string, H> {
  return new Map(Object.entries(handlers))
}

/**
 * Was this sent before the request that is being served? Two channels keep no order between them, but a client's dates
 * do: an interrupt that was meant for an idle kernel must not hit the cell that its client sent next.
 */
function isOlderThanTurn(state: KernelState, { message: { header } }: Request): boolean {
  const served = state.turn?.request.message.header
  if (served?.session !== header.session) return false
  const difference = Date.parse(header.date) - Date.parse(served.date)
  // Date has milliseconds only; dates of one client have one form, so that microseconds can be compared as text.
  return difference < 0 || (difference === 0 && header.date.length === served.date.length && header.date < served.date)
}

/** Interrupts whatever the worker does now; a worker at rest ignores it. */
export function interrupt(state: KernelState): void {
  const { turn, worker } = state
  if (interruptRestore(state) || !turn || !worker?.pid) return
  state.effects.push({ do: 'interrupt_worker', pid: worker.pid, seq: turn.request.seq })
  watchInterrupt(state, turn)
}

function commInfoReply(state: KernelState, request: Request): void {
  const { target_name } = parseObject(request.message.contentBytes)
  reply(state, request, {
    content: json(commInfo(state.comms, typeof target_name === 'string' ? target_name : undefined)),
  })
}

function interruptReply(state: KernelState, request: Request): void {
  reply(state, request, { content: json({ status: 'ok' }) })
}

function shutdownOnArrival(state: KernelState, request: Request): void {
  publishStatus(state, 'busy', request.message.headerBytes)
  const served = answering(state, request, () => shutdownReply(state, request))
  if (!served) publishStatus(state, 'idle', request.message.headerBytes)
}

function historyReply(state: KernelState, request: Request, done: () => void): void {
  const content = parseObject(request.message.contentBytes)
  const id = `history ${request.seq}`
  state.effects.push({ do: 'store', id, call: { call: 'history', request: content } })
  run(state, waitFor<unknown>(`store:${id}`, state.options.limits.stopMs), (outcome) => {
    const history = outcome.ok ? outcome.value : []
    reply(state, request, { content: json({ status: 'ok', history }) })
    done()
  })
}

function connectReply(state: KernelState, request: Request): void {
  reply(state, request, { content: json({ status: 'ok', ...state.options.ports }) })
}

function shutdownReply(state: KernelState, request: Request): void {
  const { restart } = parseObject(request.message.contentBytes)
  stop(state, { code: 0, restart: restart === true, request })
}
