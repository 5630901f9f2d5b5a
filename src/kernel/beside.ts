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
import type { IncomingMessage } from '../wire/message.js'
import { isOurTarget, openComm, type Comm } from './comms.js'
import { parseObject } from './policy.js'
import { command } from './send.js'
import type { KernelState, Line, Request } from './state.js'

const COMM_TYPES: ReadonlySet<string> = new Set(['comm_open', 'comm_msg', 'comm_close'])

export function isComm({ header }: IncomingMessage): boolean {
  return COMM_TYPES.has(header.msg_type)
}

/** Hands over what waits and may be served beside the cell that runs, if one does; in the main shell, or a subshell. */
export function handOverComms(state: KernelState, line: Line & { readonly id?: string } = state): void {
  const { turn, queue } = line
  if (!turn?.cell || !turn.atWorker || turn.answered || !queue.some((request) => request.isComm)) return
  if (state.phase !== 'busy' && (line === state || state.phase !== 'idle')) return
  const staying = new Set<string>()
  for (const request of queue.splice(0)) {
    const about = request.isComm ? subject(state, request) : null
    if (about && !about.ours && !staying.has(about.comm_id)) {
      give(state, line, request, about, turn.request.seq)
    } else {
      if (about) staying.add(about.comm_id)
      queue.push(request)
    }
  }
}

/** Keeps account of a comm that the worker is about to open or to close. */
export function register(state: KernelState, request: Request): void {
  const about = subject(state, request)
  const { msg_type } = request.message.header
  if (about && msg_type === 'comm_open') openComm(state.comms, about.comm_id, about.target_name)
  else if (about && msg_type === 'comm_close') state.comms.delete(about.comm_id)
}

/** The open comm that a message is about; for one that opens a comm, what it will be. */
export function commOf(state: KernelState, request: Request): Pick<Comm, 'ours' | 'sentFrom'> | undefined {
  const about = subject(state, request)
  return about ? (state.comms.get(about.comm_id) ?? { ours: about.ours }) : undefined
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

function give(
  state: KernelState,
  line: Line & { readonly id?: string },
  request: Request,
  { comm_id }: Subject,
  cell: number,
): void {
  const { header, headerBytes, metadataBytes, contentBytes, buffers } = request.message
  register(state, request)
  line.beside.set(request.seq, { request, comm_id })
  const subshell = line.id === undefined ? {} : { subshell: line.id }
  command(state, { kind: 'request', seq: request.seq, type: header.msg_type, beside: cell, ...subshell }, [
    headerBytes,
    metadataBytes,
    contentBytes,
    ...buffers,
  ])
}

/** Puts requests that were not served back into the queue, each before what came after it. */
export function takeBack(
  state: KernelState,
  line: Line = state,
  seqs: Iterable<number> = [...line.beside.keys()],
): void {
  let any = false
  for (const seq of seqs) {
    const given = line.beside.get(seq)
    if (!given) continue
    any = true
    line.beside.delete(seq)
    line.queue.push(given.request)
    // It will be opened when its turn comes; a worker that never heard of it has nothing to close.
    if (given.request.message.header.msg_type === 'comm_open') state.comms.delete(given.comm_id)
  }
  if (any) line.queue.sort((a, b) => a.seq - b.seq)
}

/** The cell's reply says what became of the messages beside it; those that are still at work go on like any task. */
export function cellEnded(state: KernelState, { returned, going_on }: Beside, line: Line = state): void {
  for (const seq of going_on ?? []) line.beside.delete(seq)
  takeBack(state, line, returned ?? [])
}

/** A message was served. */
export function served(state: KernelState, seq: number): void {
  if (state.beside.delete(seq)) return
  for (const subshell of state.subshells.values()) subshell.beside.delete(seq)
}

/** A message came to the worker when its cell was over. */
export function gaveBack(state: KernelState, seq: number): void {
  takeBack(state, state, [seq])
  for (const subshell of state.subshells.values()) takeBack(state, subshell, [seq])
}

interface Beside {
  readonly returned?: readonly number[]
  readonly going_on?: readonly number[]
}
