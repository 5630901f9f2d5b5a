/** Options of a kernel whose limits are so narrow that each of them is met. */

import { NO_POLICY } from '../../src/kernel/auto-checkpoints.js'
import type { KernelOptions } from '../../src/kernel/options.js'
import { UNMOVED } from '../../src/kernel/timeline.js'
import type { Random } from './random.js'

const FORKED = {
  snapshot: 'fk_1',
  executionCount: 3,
  comms: [['w1', 'widget']] as const,
  debugInfo: null,
  hangs: [],
  timeline: UNMOVED,
}

export function randomOptions(seed: number, random: Random): KernelOptions {
  return {
    session: 's',
    seed: `${seed}`,
    ports: {},
    recover: random.chance(0.5),
    guard: random.chance(0.5),
    linger: false,
    restoreLast: random.chance(0.3),
    lazy: false,
    kernelInfo: null,
    checkpoints: random.chance(0.5)
      ? NO_POLICY
      : { ...NO_POLICY, cell: random.chance(0.5), intervalMs: 3, idleMs: 2, shutdown: true },
    ...(seed % 9 === 5 ? { lost: { head: 'cp_5', cells: [] } } : {}),
    offersSubshells: true,
    forks: true,
    ...(seed % 10 === 7 ? { forked: FORKED } : {}),
    records: random.chance(0.5) ? { file_bytes_max: 1, bytes_max: 1, end_processes: false } : null,
    limits: {
      queueLengthMax: 6,
      subshellsMax: 2,
      transactionDepthMax: 4,
      snapshotsMax: 5,
      snapshotBytesMax: 1_000,
      guardMomentsMax: 3,
      guardSettleMs: 1,
      youngMs: 3,
      fallsMax: 2,
      interruptNoticeMs: 1,
      interruptGraceMs: 2,
      parentsMax: 8,
      handOverMs: 1,
      wakeMs: 1,
      objectsMs: 1,
      forksMax: 3,
      forkMs: 1,
      undoMs: 1,
      stopMs: 1,
      settleMs: 1,
      checkpointMs: 1,
      restoreMs: 1,
      writersWaitingMax: 2,
      transferBytesMax: 100,
      saveAtEndMs: 1,
      namespaceMs: 1,
      saveLastMs: 1,
      restoreLastMs: 1,
      usageMs: 1,
      infoPatienceMs: 1,
      bufferedBytesMax: 200,
      aheadBytesMax: 1_000,
      debuggerUpMs: 1,
      debugRequestMs: 1,
    },
  }
}
