/** Kernels of a gateway with workers that do as they are told. */

import { unobserved } from '../../../src/observe.js'
import { NO_POLICY } from '../../../src/kernel/auto-checkpoints.js'
import { Kernels, type KernelsOptions } from '../../../src/host/kernels/kernels.js'
import { FakeClock } from '../../fakes/clock.js'
import { FakeFarm } from '../../fakes/kernel-workers.js'
import { FakePorts } from '../../fakes/ports.js'
import { LIMITS } from '../../support/test-kernel.js'

export const KERNEL_LIMITS = {
  startMs: 40_000,
  restartGraceMs: 3_000,
  endGraceMs: 5_000,
  lossesMax: 2,
  lossesWithinMs: 60_000,
  holdMaxMs: 10_000,
  waitingMax: 2,
  measuredMs: 10_000,
}

export interface FakeStage {
  readonly kernels: Kernels
  readonly farm: FakeFarm
  readonly clock: FakeClock
}

export function stage(more: Partial<KernelsOptions> = {}): FakeStage {
  const farm = new FakeFarm()
  const clock = new FakeClock()
  const kernels = new Kernels({
    newWorkers: farm.newWorkers,
    newStore: () => ({ ...new FakePorts().store, close: async () => {} }),
    newUsage: () => ({
      weigh: async () => [],
      measure: async () => ({ kernel_memory: 5, savepoint: { snapshot_bytes: 2 } }),
    }),
    clock,
    log: () => {},
    options: { guard: false, offersSubshells: false, records: null, checkpoints: NO_POLICY, limits: LIMITS },
    observe: unobserved,
    pacing: { intervalMs: 5, firstMs: 0, bytesMax: 1_000 },
    holdMs: 2,
    kernelLimits: KERNEL_LIMITS,
    findSpec: (name) => (name === 'none' ? null : { name: 'python3', cullIdleTimeoutS: name === 'short' ? 60 : null }),
    kernelsMax: null,
    kernelsPerOwnerMax: null,
    root: '/tmp',
    allowedEnvironment: ['LANG'],
    culling: { idleTimeoutS: 0, connected: false, busy: false, intervalMs: 10_000 },
    snapshots: { bytesMax: 1_000, intervalMs: 10_000 },
    resting: { waitMs: 60_000, kernelsMax: 2 },
    records: null,
    ...more,
  })
  return { kernels, farm, clock }
}
