/**
 * The orderly end: the worker runs its exit handlers, then everything is ended, then the client that asked is told,
 * as late as possible, since it takes the reply for the end.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-shutdown
 */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import { abortAll } from './execution.js'
import { saveLast } from './last-state.js'
import { emitEnded } from './events.js'
import { failWaits, run, waitFor, type Operation } from './operation.js'
import { command, publish, publishStatus, reply } from './send.js'
import { release } from './streams.js'
import { loseSubshells } from './subshells.js'
import { cue, parentOfTurn, type KernelState, type Request, type Shutdown } from './state.js'
import { loseAll } from './transactions.js'

export interface StopOrder {
  /** The kernel's exit code. */
  readonly code: number
  readonly restart: boolean
  /** Who asked, if a client did. */
  readonly request: Request | null
}

/**
 * Ends the kernel. Operations in progress fail first, so that those who wait for them are told; `lastWords` comes next.
 * Of several orders the first one holds, and all who asked are told.
 */
export function stop(
  state: KernelState,
  { code, restart, request }: StopOrder,
  lastWords: () => void = () => {},
): void {
  const requests = request ? [request] : []
  if (state.shutdown) {
    state.shutdown.requests.push(...requests)
    return
  }
  const shutdown: Shutdown = { code, restart, requests }
  state.shutdown = shutdown
  cue(state, 'stop')
  failWaits(
    state,
    [''],
    new SavepointError('kernel_restarting', 'The kernel is shutting down. Ask the one that follows.'),
  )
  loseSubshells(
    state,
    new SavepointError('kernel_restarting', 'The kernel is shutting down. Ask the one that follows.'),
  )
  lastWords()
  run(state, stopWorker(state, shutdown), () => {
    const content = json({ status: 'ok', restart })
    // Of a cell that did not even end when it was interrupted.
    release(state)
    abortAll(state)
    // Their processes are ended by now.
    state.snapshots.clear()
    loseAll(state, restart ? 'the kernel was restarted' : 'the kernel was shut down')
    emitEnded(state, parentOfTurn(state))
    for (const each of shutdown.requests) {
      const parent = each.message.headerBytes
      publish(state, 'shutdown_reply', parent, { content })
      reply(state, each, { content })
      publishStatus(state, 'idle', parent)
    }
    cue(state, 'end')
    state.effects.push({ do: 'exit', code })
  })
}

function* stopWorker(state: KernelState, shutdown: Shutdown): Operation<void> {
  const { stopMs } = state.options.limits
  const { worker } = state
  if (worker?.pid) {
    // A running cell would never read the command; interrupted, it leaves its frames, and its exit handlers can run.
    if (state.turn?.cell) state.effects.push({ do: 'interrupt_worker', pid: worker.pid, seq: state.turn.request.seq })
    yield* saveLast(state)
    if (state.worker) {
      command(state, { kind: 'stop' })
      yield* ignoringTimeout(waitFor<void>('worker_ended', stopMs))
    }
  }
  state.effects.push({ do: 'stop_workers', linger: shutdown.restart && state.options.linger })
  yield* ignoringTimeout(waitFor<void>('workers_stopped', 2 * stopMs))
}

function* ignoringTimeout(operation: Operation<void>): Operation<void> {
  try {
    yield* operation
  } catch {
    // What did not end in time is ended by force with the rest.
  }
}
