import type { PoolLimits } from './options.js'

/** Every limit and deadline of the pool, with its unit; listed in docs/limits.md. */
export const poolLimits: PoolLimits = Object.freeze({
  queueLengthMax: 256,
  waitMs: 75_000,
  zygoteStartMs: 60_000,
  dialMs: 10_000,
  zygoteIdleMs: 300_000,
  zygotesMax: 32,
  retryMs: Object.freeze([0, 100, 200]),
  failuresToOpen: 5,
  successesToClose: 3,
  openMs: 30_000,
  refillMs: 50,
  sweepMs: 30_000,
  ageMsMax: 3_600_000,
  usesMax: 1_000,
  memoryBytesMax: 2_147_483_648,
  affineMax: 64,
  startsMax: 256,
  claimMs: 120_000,
})
