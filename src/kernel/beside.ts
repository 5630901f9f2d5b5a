/**
 * Comm messages beside a running cell.
 *
 * A cell may wait for a widget: it awaits, or it polls. So the messages of the user's comms do not wait for the cell's
 * end here: each is handed to the worker with the cell that it is beside, and the worker serves it when that cell lets
 * it. What was not begun when the cell ended comes back and takes its old place in the queue; what a worker had when it
 * was given up does too. A message that was served beside a cell has no busy and no idle of its own, as in ipykernel.
 *
 * Messages of one comm never overtake each other: one that has to stay in the queue keeps those behind it there.
 */

import { SavepointError } from '../errors.js'
import { isOurTarget, openComm } from './comms.js'
import { parseObject } from './policy.js'
import { command } from './send.js'
import type { KernelState, Request } from './state.js'

const COMM_TYPES: ReadonlySet<string> = new Set(['comm_open', 'comm_msg', 'comm_close'])

export function isComm({ message }: Request): boolean {
  return COMM_TYPES.has(message.header.msg_type)
}

/** Hands over what waits and may be served beside the cell that runs, if one does. */
export function handOverComms(state: KernelState): void {
  const { turn } = state
  if (!turn?.cell || !turn.atWorker || turn.answered || state.phase !== 'busy' || !state.queue.some(isComm)) return
  const staying = new Set<string>()
  for (const request of state.queue.splice(0)) {
    const about = isComm(request) ? subject(state, request) : null
    if (about && !about.ours && !staying.has(about.comm_id)) {
      give(state, request, about, turn.request.seq)
    } else {
      if (about) staying.add(about.comm_id)
      state.queue.push(request)
    }
  }
}

interface Subject {
  readonly comm_id: string
  readonly target_name: string
  readonly ours: boolean
}

/** The comm that a message is about; null if it does not say, which is told to the client in the message's turn. */
function subject(state: KernelState, { message }: Request): Subject | null {
  let content: Record<string, unknown>
  try {
    content = parseObject(message.contentBytes)
  } catch (error) {
    if (error instanceof SavepointError) return null
    throw error
  }
  const { comm_id, target_name } = content
  if (typeof comm_id !== 'string') return null
  if (message.header.msg_type !== 'comm_open') {
    return { comm_id, target_name: '', ours: state.comms.get(comm_id)?.ours === true }
  }
  return typeof target_name === 'string' ? { comm_id, target_name, ours: isOurTarget(target_name) } : null
}

function give(state: KernelState, request: Request, { comm_id, target_name }: Subject, cell: number): void {
  const { header, headerBytes, metadataBytes, contentBytes, buffers } = request.message
  if (header.msg_type === 'comm_open') openComm(state.comms, comm_id, target_name, state.snapshotsMade)
  else if (header.msg_type === 'comm_close') state.comms.delete(comm_id)
  state.beside.set(request.seq, { request, comm_id })
  command(state, { kind: 'request', seq: request.seq, type: header.msg_type, beside: cell }, [
    headerBytes,
    metadataBytes,
    contentBytes,
    ...buffers,
  ])
}

/** Puts requests that were not served back into the queue, each before what came after it. */
export function takeBack(state: KernelState, seqs: Iterable<number> = [...state.beside.keys()]): void {
  let any = false
  for (const seq of seqs) {
    const given = state.beside.get(seq)
    if (!given) continue
    any = true
    state.beside.delete(seq)
    state.queue.push(given.request)
    // It will be opened when its turn comes; a worker that never heard of it has nothing to close.
    if (given.request.message.header.msg_type === 'comm_open') state.comms.delete(given.comm_id)
  }
  if (any) state.queue.sort((a, b) => a.seq - b.seq)
}

/** The cell's reply says what became of the messages beside it; those that are still at work go on like any task. */
export function cellEnded(state: KernelState, { returned = [], going_on = [] }: Beside): void {
  for (const seq of going_on) state.beside.delete(seq)
  takeBack(state, returned)
}

interface Beside {
  readonly returned?: readonly number[]
  readonly going_on?: readonly number[]
}
