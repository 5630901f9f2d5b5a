/** What happens on the Python side, as events of the kernel whose side it is. */

import type { KernelEvent } from '../kernel/effects.js'
import type { WorkersListener } from '../worker/workers.js'

export function asKernelEvents(deliver: (event: KernelEvent) => void): WorkersListener {
  return {
    zygoteReady: (kernelInfo) => deliver({ on: 'zygote_ready', kernelInfo }),
    zygoteDied: () => deliver({ on: 'zygote_died' }),
    workerUp: (token, pid) => deliver({ on: 'worker_up', token, pid }),
    workerSaid: (generation, event, parts) => deliver({ on: 'worker', generation, event, parts }),
    workerDied: (generation, cause) => deliver({ on: 'worker_died', generation, cause }),
    workerFailed: (token, reason) => deliver({ on: 'worker_failed', token, reason }),
    writerSaid: (event, parts) => deliver({ on: 'writer', event, parts }),
    debuggerUp: (token) => deliver({ on: 'debugger_up', token }),
    debuggerSaid: (token, event, parts) => deliver({ on: 'debugger', token, event, parts }),
    debuggerGone: (token) => deliver({ on: 'debugger_gone', token }),
    snapshotGone: (snapshot) => deliver({ on: 'snapshot_gone', snapshot }),
    output: (name, text) => deliver({ on: 'output', name, text }),
    stopped: () => deliver({ on: 'workers_stopped' }),
  }
}
