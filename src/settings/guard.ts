/** The copies that a kernel keeps of itself. */

import { config } from '../config.js'
import { integer, onOff } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const guardSettings = {
  'guard.enabled': {
    ...onOff(true),
    about: "whether a gateway's kernels freeze a copy after each cell: undo, and a crash costs one cell",
  },
  'guard.bytes_max': {
    ...integer(config.kernel.snapshotBytesMax, 0, 1_099_511_627_776),
    about: 'bytes that the snapshots of one kernel may hold alone; the oldest of the guard go, then begins are refused',
  },
  'guard.total_bytes_max': {
    ...integer(0, 0, 1_099_511_627_776),
    about:
      "bytes that the snapshots of all of a gateway's kernels may hold alone; 0: a quarter of the machine's memory",
  },
  'guard.interrupt_grace_s': {
    ...integer(config.kernel.interruptGraceMs / 1_000, 1, secondsMax),
    about:
      'how long code that no interrupt reaches may go on before its process is ended, where its state can come back',
  },
  'guard.moments_max': {
    ...integer(config.kernel.guardMomentsMax, 1, 60),
    about: 'copies that one kernel keeps: one more than cells that can be undone',
  },
} as const satisfies SettingTable
