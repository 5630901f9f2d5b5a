/** The right to one worker. */

import type { PooledProcess } from './process.js'
import type { PoolEvent } from './state.js'

/** The right to use one worker, until it is given back. To give it back twice does nothing. */
export interface Lease {
  readonly request: string
  readonly worker: PooledProcess
  /** It may be had again by the same client, if it was leased with an affinity; else it ends. */
  giveBack(): void
  /** It ends, and is counted under `reason`. */
  discard(reason: string): void
}

/** What a lease needs of the pool. */
export interface Lessor {
  forget(request: string): void
  tell(event: PoolEvent): void
}

/** The lease of `worker`, which was granted to `request`. */
export function leaseOf(pool: Lessor, request: string, worker: PooledProcess): Lease {
  const { place } = worker.paths
  let open = true
  const once = (event: PoolEvent): void => {
    if (!open) return
    open = false
    pool.forget(request)
    pool.tell(event)
  }
  return {
    request,
    worker,
    giveBack: () => {
      const alive = worker.fault(request) === null
      worker.detach()
      once({ on: 'given_back', place, alive })
    },
    discard: (reason) => once({ on: 'discarded', place, reason }),
  }
}
