/**
 * The orderly end: the worker runs its exit handlers, then everything is ended, then the client that asked is told,
 * as late as possible, since it takes the reply for the end.
 *
 * Docs: https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-shutdown
 */

import { json } from '../wire/message.js'
import { run, waitFor, type Operation } from './operation.js'
import { command, publish, publishStatus, reply } from './send.js'
import { cue, type KernelState, type Shutdown } from './state.js'

/** Ends the kernel. A second call does nothing: the first one's code and client hold. */
export function stop(state: KernelState, shutdown: Shutdown): void {
  if (state.shutdown) return
  state.shutdown = shutdown
  cue(state, 'stop')
  run(state, stopWorker(state, shutdown), () => {
    if (shutdown.request) {
      const parent = shutdown.request.message.headerBytes
      const content = json({ status: 'ok', restart: shutdown.restart })
      publish(state, 'shutdown_reply', parent, { content })
      reply(state, shutdown.request, { content })
      publishStatus(state, 'idle', parent)
    }
    cue(state, 'end')
    state.effects.push({ do: 'exit', code: shutdown.code })
  })
}

function* stopWorker(state: KernelState, shutdown: Shutdown): Operation<void> {
  const { stopMs } = state.options.limits
  const { worker } = state
  if (worker?.pid) {
    // A running cell would never read the command; interrupted, it leaves its frames, and its exit handlers can run.
    if (state.turn?.cell) state.effects.push({ do: 'interrupt_worker', pid: worker.pid })
    command(state, { kind: 'stop' })
    yield* ignoringTimeout(waitFor<void>('worker_ended', stopMs))
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
