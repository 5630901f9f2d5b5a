/**
 * What the kernel knows of its debugger, and what that means for copies of the worker.
 *
 * debugpy cannot be copied: its threads stay behind in a fork, and what they held is held for ever. So while it is at
 * work nothing is frozen, and a rollback to a snapshot from before leaves the debugger behind.
 */

import { SavepointError } from '../errors.js'
import { json } from '../wire/message.js'
import { failWaits } from './operation.js'
import { publish } from './send.js'
import type { KernelState, Request } from './state.js'

export interface Debugging {
  /** Whether there is debugpy; null as long as the zygote has not said so. */
  possible: boolean | null
  /** Body of the response to `debugInfo` while nobody debugs; null until the worker has told it. */
  info: Buffer | null
  /** Of the debugger's thread that was called or is at work; null if there is none. */
  token: string | null
  /** debugpy is at work, or about to be. */
  attached: boolean
  /** Requests are served one after another, in their order. */
  readonly queue: Request[]
  current: Request | null
  /** Header of the latest request: parent of the debugger's events. */
  parent: Buffer
}

export function newDebugging(): Debugging {
  return {
    possible: null,
    info: null,
    token: null,
    attached: false,
    queue: [],
    current: null,
    parent: Buffer.from('{}'),
  }
}

/** Throws `engine_unavailable` while a debugger is attached. */
export function refuseWhileDebugged(state: KernelState): void {
  if (!state.debugging.attached) return
  throw new SavepointError(
    'engine_unavailable',
    'A debugger is attached to the kernel, whose process cannot be copied meanwhile. Disconnect the debugger first.',
  )
}

/** The debugger's thread is gone, or is to go: whoever waits for it is told. True if a debugger was attached. */
export function dropDebugger(state: KernelState, why: string): boolean {
  const { debugging } = state
  if (debugging.token === null) return false
  const { attached } = debugging
  debugging.token = null
  debugging.attached = false
  state.effects.push({ do: 'dismiss_debugger' })
  if (attached) {
    const content = json({ seq: 0, type: 'event', event: 'terminated', body: {} })
    publish(state, 'debug_event', debugging.parent, { content })
  }
  failWaits(state, DEBUGGER_WAITS, new SavepointError('not_available', `The debugger has ended: ${why}.`))
  return attached
}

const DEBUGGER_WAITS = ['debugger_up:', 'debug:']
