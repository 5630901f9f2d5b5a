/**
 * The next cell, handed over while one runs: the worker begins it right behind the reply of the first, if that is `ok`,
 * and that reply says so (`begins`). The worker does not wait for us meanwhile, nor we for it.
 *
 * The request stays in the queue until then. Where the reply does not begin it, the worker has forgotten it, and it is
 * handed over again in its turn: after a failure it is refused like all that wait, and what came back from beside the
 * first cell goes before it. So all that is decided here is decided as if nothing had been handed over.
 *
 * Only for cells that ask for nothing but to be run, and as long as nothing is open that the next reply could concern.
 * Only on shell: what is sent on control is told from the rest by when it was done, and a cell that is begun before we
 * have heard of the former's end starts earlier than the date in the former's reply.
 */

import { SavepointError } from '../errors.js'
import { limitCell } from './deadlines.js'
import { begin, cellOf } from './execution.js'
import { isPlain, parseObject, wishesOf } from './policy.js'
import { command, log } from './send.js'
import { cue, type Cell, type KernelState, type Request, type Turn } from './state.js'

/** What was handed over, or was found to have wishes of its own (`cell` is null). */
export interface Ahead {
  readonly request: Request
  readonly cell: Cell | null
}

/** Hands over the next cell, or takes it back, as the state of things now is. Called after each event. */
export function lookAhead(state: KernelState): void {
  const {
    ahead,
    turn,
    queue: [request],
  } = state
  if (ahead !== null) {
    if (ahead.request !== request || (ahead.cell !== null && !isQuiet(state))) withdraw(state, ahead)
    return
  }
  if (!request || state.phase !== 'busy' || !turn?.cell?.plain || !turn.atWorker || turn.answered) return
  if (turn.request.channel !== 'shell' || request.channel !== 'shell') return
  if (state.beside.size > 0 || !isQuiet(state)) return
  const cell = plainCell(state, request)
  state.ahead = { request, cell }
  if (cell === null) return
  const { headerBytes, metadataBytes, contentBytes, buffers } = request.message
  command(
    state,
    {
      kind: 'request',
      seq: request.seq,
      type: 'execute_request',
      execution_count: cell.count,
      behind: turn.request.seq,
    },
    [headerBytes, metadataBytes, contentBytes, ...buffers],
  )
}

/** The worker has begun the request `seq` behind the reply that was just served. */
export function follow(state: KernelState, seq: number, ahead: Ahead | null): void {
  const [request] = state.queue
  // A kernel that is stopping refuses what waits, and does not hear the worker any more.
  if (state.phase !== 'idle' || state.turn !== null) return
  if (request?.seq !== seq) {
    log(state, 'error', 'began_unasked', { seq })
    return
  }
  state.queue.shift()
  const handed = ahead?.request === request ? ahead.cell : null
  const cell = handed ?? cellOf(state, parseObject(request.message.contentBytes), true)
  cue(state, 'turn')
  const turn: Turn = { request, cell, atWorker: true, answered: false }
  state.turn = turn
  limitCell(state, turn, cell, null)
  begin(state, turn, cell)
}

/** Nothing is open or under way that could make a difference between this moment and the next cell's turn. */
function isQuiet(state: KernelState): boolean {
  return (
    state.transactions.length === 0 &&
    // Each cell is to have its copy behind it, and while that is made the next one comes anyway.
    state.guard.phase !== 'on' &&
    !state.options.checkpoints.cell &&
    state.auto.due === null &&
    state.subshells.size === 0 &&
    state.debugging.token === null &&
    state.shutdown === null &&
    (state.control === null || state.control.toldTo === state.generation)
  )
}

function withdraw(state: KernelState, { request, cell }: Ahead): void {
  state.ahead = null
  if (cell !== null) command(state, { kind: 'withdraw', seq: request.seq })
}

/** null: it is no cell, one that wants more than to be run, or one that may be taken back until its turn. */
function plainCell(state: KernelState, { client, message }: Request): Cell | null {
  if (client.withdraws === true) return null
  if (message.header.msg_type !== 'execute_request' || message.buffers.length > 0) return null
  if (message.contentBytes.length + message.metadataBytes.length > state.options.limits.aheadBytesMax) return null
  try {
    const cell = cellOf(state, parseObject(message.contentBytes), true)
    return isPlain(wishesOf(message, cell.code)) ? cell : null
  } catch (error) {
    if (error instanceof SavepointError) return null
    throw error
  }
}
