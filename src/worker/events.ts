/** What happens on the Python side of a kernel, as events: what `WorkersListener` hears, one object each. */

import type { DebuggerEvent, WorkerEvent, WriterEvent } from '../link/protocol.js'
import type { WorkersListener } from './backing.js'
import type { Death } from './death.js'
import type { Held, Placement } from './memory.js'

export type PythonEvent =
  | { readonly on: 'zygote_ready'; readonly kernelInfo: Buffer }
  | { readonly on: 'zygote_died' }
  | { readonly on: 'placed'; readonly placement: Placement }
  | { readonly on: 'worker_up'; readonly token: string; readonly pid: number }
  | {
      readonly on: 'worker'
      readonly generation: number
      /** Its number among all that this worker says. */
      readonly frame: number
      readonly event: WorkerEvent
      readonly parts: readonly Buffer[]
    }
  | { readonly on: 'worker_died'; readonly generation: number; readonly cause: Death }
  | { readonly on: 'worker_failed'; readonly token: string; readonly reason: string }
  | { readonly on: 'writer'; readonly event: WriterEvent; readonly parts: readonly Buffer[] }
  | { readonly on: 'debugger_up'; readonly token: string }
  | {
      readonly on: 'debugger'
      readonly token: string
      readonly event: DebuggerEvent
      readonly parts: readonly Buffer[]
    }
  | { readonly on: 'debugger_gone'; readonly token: string }
  | { readonly on: 'snapshot_gone'; readonly snapshot: string }
  /** There is too little memory: copies that can be missed are to go, as `KernelEvent` has it. */
  | { readonly on: 'trim'; readonly bytesMax: number; readonly momentsMin: number }
  | { readonly on: 'copied'; readonly name: string; readonly error: string | null }
  | { readonly on: 'output'; readonly name: 'stdout' | 'stderr'; readonly text: Buffer; readonly held?: Held }
  | { readonly on: 'workers_stopped' }

/** A listener that hands everything on as an event. */
export function listenerTo(deliver: (event: PythonEvent) => void): WorkersListener {
  return {
    zygoteReady: (kernelInfo) => deliver({ on: 'zygote_ready', kernelInfo }),
    zygoteDied: () => deliver({ on: 'zygote_died' }),
    placed: (placement) => deliver({ on: 'placed', placement }),
    workerUp: (token, pid) => deliver({ on: 'worker_up', token, pid }),
    workerSaid: (generation, event, parts, frame) => deliver({ on: 'worker', generation, frame, event, parts }),
    workerDied: (generation, cause) => deliver({ on: 'worker_died', generation, cause }),
    workerFailed: (token, reason) => deliver({ on: 'worker_failed', token, reason }),
    writerSaid: (event, parts) => deliver({ on: 'writer', event, parts }),
    debuggerUp: (token) => deliver({ on: 'debugger_up', token }),
    debuggerSaid: (token, event, parts) => deliver({ on: 'debugger', token, event, parts }),
    debuggerGone: (token) => deliver({ on: 'debugger_gone', token }),
    snapshotGone: (snapshot) => deliver({ on: 'snapshot_gone', snapshot }),
    copied: (name, error) => deliver({ on: 'copied', name, error }),
    output: (name, text, held) => deliver({ on: 'output', name, text, ...(held ? { held } : {}) }),
    stopped: () => deliver({ on: 'workers_stopped' }),
  }
}
