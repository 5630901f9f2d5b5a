/**
 * What clients can ask for beyond the Jupyter protocol: one table of operations for each of our comm targets.
 *
 * A client sends `comm_msg`: the request takes its turn like any other and the answer is published before its idle.
 * What code in the kernel asks for in the middle of its cell is served by `asks`.
 */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import type { LinkError } from '../link/protocol.js'
import { called, type Args, type Call, type Op, type Ops } from './call.js'
import { cancelOp, CHECKPOINT_OPS, WithBuffers } from './checkpoint-ops.js'
import { CHECKPOINT_TARGET, NAMESPACE_TARGET, TRANSACTION_TARGET } from './comms.js'
import { endWithoutWorker } from './death.js'
import type { OpOutcome } from './effects.js'
import { finishTurn } from './execution.js'
import { FORK_OPS } from './forks.js'
import { GUARD_OPS } from './guard-ops.js'
import { askWorker, NAMESPACE_OPS, RawJson, type NamespaceOp } from './namespace.js'
import { LeftWithoutWorker, run } from './operation.js'
import { isObject, parseObject } from './policy.js'
import { inShort } from './terms.js'
import { publish, publishStatus, type Body } from './send.js'
import type { KernelState, OpRequest, Request, Turn } from './state.js'
import { ENGINES } from './terms.js'
import { TRANSACTION_OPS } from './transaction-ops.js'

const OPS: Readonly<Record<string, Ops>> = {
  [TRANSACTION_TARGET]: { ...TRANSACTION_OPS, ...GUARD_OPS, ...FORK_OPS },
  [CHECKPOINT_TARGET]: CHECKPOINT_OPS,
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

/** The first message on a new comm of ours: what there is. */
export function greet(state: KernelState, turn: Turn, comm_id: string): void {
  const ops = Object.keys(OPS[state.comms.get(comm_id)?.target ?? ''] ?? {})
  const data = { event: 'ready', version: 1, ops, engines: ENGINES, guard: state.guard.phase !== 'off' }
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
    publish(state, 'comm_msg', parent, bodyOf(comm_id, { id, op, ...outcome }))
  })
}

/**
 * Serves what must not wait for its turn: to give up a checkpoint that somebody else's request waits for. False: this is
 * something else.
 */
export function servedAtOnce(state: KernelState, { message }: Request): boolean {
  const { header, headerBytes: parent, contentBytes } = message
  if (header.msg_type !== 'comm_msg' || !contentBytes.includes('"cancel"')) return false
  const content = contentOf(contentBytes)
  const { comm_id, data } = content
  if (typeof comm_id !== 'string' || state.comms.get(comm_id)?.target !== CHECKPOINT_TARGET) return false
  if (!isObject(data) || data['op'] !== 'cancel') return false
  const id = typeof data['id'] === 'string' ? data['id'] : null
  publishStatus(state, 'busy', parent)
  cancelAtOnce(state, data, (outcome) => {
    publish(state, 'comm_msg', parent, bodyOf(comm_id, { id, op: 'cancel', ...outcome }))
    publishStatus(state, 'idle', parent)
  })
  return true
}

export function cancelAtOnce(state: KernelState, args: Args, answer: (outcome: OpOutcome) => void): void {
  run(state, cancelOp(state, { args }), (outcome) => {
    answer(outcome.ok ? { ok: true, result: outcome.value } : { ok: false, error: linkErrorOf(outcome.error) })
  })
}

function contentOf(bytes: Buffer): Record<string, unknown> {
  try {
    return parseObject(bytes)
  } catch {
    // It is told so in its turn.
    return {}
  }
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
  const refuse = (error: SavepointError): void => {
    answer({ ok: false, error: linkErrorOf(error) })
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
    const named = inShort(op)
    refuse(new SavepointError('unknown_op', `There is no op '${named}' here. There are: ${known}.`, { op: named }))
    return
  }
  const { client, message } = turn.request
  const { header, headerBytes: parent, contentBytes: content, buffers } = message
  const warnings = ignored(Object.keys(args).filter((key) => !entry.fields.includes(key)))
  const call: Call = { args, by: header.session, client, parent, content, buffers, afterwards: [], warnings }
  run(state, called(entry.run, state, call), (outcome) => {
    if (outcome.ok) {
      answer({ ok: true, result: outcome.value, ...(warnings.length > 0 ? { warnings } : {}) })
      for (const tell of call.afterwards) tell()
      finishTurn(state, turn)
      return
    }
    refuse(outcome.error)
    if (outcome.error instanceof LeftWithoutWorker) endWithoutWorker(state, outcome.error)
  })
}

/** Fields of a request that mean nothing here, in words; of very many the first ones. */
function ignored(keys: readonly string[]): string[] {
  const named = keys.slice(0, IGNORED_NAMED_MAX)
  const warnings = named.map((key) => `Ignored the field ${inShort(key)}: this version does not know it.`)
  if (keys.length > named.length) warnings.push(`Ignored ${keys.length - named.length} more fields.`)
  return warnings
}
const IGNORED_NAMED_MAX = 20

/** A result that the worker made is put in as it is. */
function bodyOf(comm_id: string, data: Readonly<Record<string, unknown>>): Body {
  const { result, ...others } = data
  if (result instanceof WithBuffers) {
    const { result: described, buffers } = result
    return { content: json({ comm_id, data: { ...others, result: described } }), buffers }
  }
  if (!(result instanceof RawJson)) return { content: json({ comm_id, data }) }
  const head = JSON.stringify({ comm_id, data: others }).slice(0, -2)
  return { content: Buffer.concat([Buffer.from(`${head},"result":`), result.bytes, Buffer.from('}}')]) }
}

function linkErrorOf({ code, message, details }: SavepointError): LinkError {
  return { code, message, details }
}
