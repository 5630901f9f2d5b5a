/**
 * How a kernel gets its first worker: as soon as the zygote is warm, or, if it is lazy, with the first request that
 * needs one.
 *
 * A lazy kernel sleeps in phase `idle` without a worker. What needs none is served as ever: kernel_info from what an
 * earlier kernel of the same Python said (if there was none, the zygote is started for it, but no worker forked),
 * history, comm_info, connect, usage, interrupts, shutdown.
 */

import { endComeback } from './comeback.js'
import { wakeForked } from './forked.js'
import { tellOfComeback, tellOfLoss } from './recovery.js'
import { log } from './send.js'
import { stop } from './shutdown.js'
import { cue, type KernelState, type Request } from './state.js'
import { forkFresh } from './switching.js'

const NEED_NO_WORKER: ReadonlySet<string> = new Set([
  'history_request',
  'comm_info_request',
  'connect_request',
  'shutdown_request',
])

/** Is this request to wait until the kernel has woken up? Then it is waking from here on. */
export function waking(state: KernelState, request: Request): boolean {
  if (state.worker !== null || NEED_NO_WORKER.has(request.message.header.msg_type)) return false
  cue(state, 'switch')
  if (state.zygote === 'warm') forkFirst(state)
  else startZygote(state)
  return true
}

/** Starts the zygote of a lazy kernel; `zygote_ready` follows. */
export function startZygote(state: KernelState): void {
  if (state.zygote !== 'none') return
  state.zygote = 'starting'
  state.effects.push({ do: 'start_zygote' })
}

/** The zygote is warm: forks the worker that is waited for. */
export function zygoteWarm(state: KernelState): void {
  state.zygote = 'warm'
  const { forked } = state.options
  if (state.phase === 'starting' && forked) wakeForked(state, forked)
  else if (state.phase === 'starting' || (state.phase === 'switching' && state.worker === null)) forkFirst(state)
}

const LOST = 'The kernel lost its processes, and has new ones.'

function forkFirst(state: KernelState): void {
  forkFresh(
    state,
    () => {
      if (state.comeback !== null) tellOfComeback(state, endComeback(state, 'kernel lost'), LOST)
      else if (state.options.lost) tellOfLoss(state, `${LOST} Its variables are gone.`)
    },
    (error) => {
      if (state.shutdown) return
      log(state, 'error', 'start_failed', { code: error.code, message: error.message })
      stop(state, { code: 1, restart: false, request: null })
    },
  )
}
