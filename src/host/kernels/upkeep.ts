/** What is looked after now and then for all kernels of a gateway: which nobody needs, and what their copies hold. */

import type { Clock } from '../../clock.js'
import type { Log } from '../../log.js'
import { isToCull, type CullSettings } from './culling.js'
import type { GatewayKernel } from './kernel.js'
import { keepAllWithin } from './snapshot-budget.js'

export interface UpkeepParts {
  readonly clock: Clock
  readonly log: Log
  readonly culling: CullSettings & { readonly intervalMs: number }
  /** What the frozen copies of all kernels may hold together, and how often that is looked at. */
  readonly snapshots: { readonly bytesMax: number; readonly intervalMs: number }
  /** Those that may be culled, each with what its kernelspec says. */
  readonly kernels: () => Iterable<{ readonly kernel: GatewayKernel; readonly idleTimeoutS: number | null }>
  /** Those that hold copies. */
  readonly holders: () => Iterable<GatewayKernel>
}

/** Returns how to end it. */
export function keepUp(parts: UpkeepParts): () => void {
  const { clock, culling, snapshots } = parts
  const ends = [
    every(clock, culling.intervalMs, () => cull(parts)),
    every(clock, snapshots.intervalMs, () => weigh(parts)),
  ]
  return () => {
    for (const end of ends) end()
  }
}

function every(clock: Clock, ms: number, act: () => void): () => void {
  let cancel = (): void => {}
  const later = (): void => {
    cancel = clock.after(ms, () => {
      later()
      act()
    })
  }
  later()
  return () => cancel()
}

function cull({ clock, culling, log, kernels }: UpkeepParts): void {
  const now = clock.date().getTime()
  for (const { kernel, idleTimeoutS } of kernels()) {
    const facts = { ...kernel.cullFacts, idleTimeoutS }
    if (!isToCull(facts, culling, now)) continue
    log('info', 'kernel_culled', { kernel: kernel.id, state: facts.executionState })
    void kernel.shutdown()
  }
}

function weigh({ snapshots, log, holders }: UpkeepParts): void {
  const all = [...holders()].map((kernel) => ({
    bytes: () => kernel.snapshots.bytes,
    lastActivity: kernel.cullFacts.lastActivity,
    trim: (bytesMax: number, momentsMin: number) => kernel.trimSnapshots(bytesMax, momentsMin),
  }))
  const trimmed = keepAllWithin(all, snapshots.bytesMax)
  if (trimmed > 0) log('info', 'snapshots_trimmed', { kernels: trimmed })
}
