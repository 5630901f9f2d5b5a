/** Checkpoints: what may be set of them, and what kernels and the store are told of that. */

import type { SettingValues } from '../settings.js'
import { config } from '../config.js'
import { counts, integer, list, words } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const checkpointSettings = {
  'checkpoint.import_bytes_max': {
    ...integer(68_719_476_736, 1_024, 999_999_999_999_999),
    about: 'bytes of a file of a checkpoint that the gateway takes in',
  },
  'checkpoint.auto': {
    ...words('', ['cell', 'interval', 'idle', 'shutdown']),
    about: 'when checkpoints are made without being asked for; none unless something has run since the last one',
  },
  'checkpoint.interval_s': { ...integer(300, 1, secondsMax), about: 'for `interval`: how long after something ran' },
  'checkpoint.idle_s': { ...integer(60, 1, secondsMax), about: 'for `idle`: how long the kernel is at rest before' },
  'checkpoint.keep': {
    ...counts(['last', 'hourly', 'daily', 'weekly', 'monthly'], 100_000),
    about:
      'which automatic checkpoints of a kernel are kept: the latest, and the last of so many hours, days, weeks, months; unless set: all',
  },
  'checkpoint.max_bytes': {
    ...integer(0, 0, 1_099_511_627_776),
    about: 'bytes that the checkpoints of one user may have; 0: as many as come',
  },
  'checkpoint.exclude': { ...list('patterns of names'), about: 'variables that no checkpoint holds' },
  'checkpoint.restore_s': {
    ...integer(config.kernel.restoreMs / 1_000, 1, secondsMax),
    about: 'how long a restore may take before the kernel goes back to what it was',
  },
} as const satisfies SettingTable

/** Which checkpoints a kernel makes without being asked for, and what none of them holds. */
export function checkpointPolicyOf(values: SettingValues) {
  const auto = values['checkpoint.auto']
  return {
    cell: auto.includes('cell'),
    intervalMs: auto.includes('interval') ? values['checkpoint.interval_s'] * 1_000 : null,
    idleMs: auto.includes('idle') ? values['checkpoint.idle_s'] * 1_000 : null,
    shutdown: auto.includes('shutdown'),
    exclude: values['checkpoint.exclude'],
  }
}

/** Which automatic checkpoints are kept (null: all), and how many bytes one owner's may take (0: any number). */
export function checkpointRulesOf(values: SettingValues) {
  const keep = values['checkpoint.keep']
  return { keep: Object.keys(keep).length === 0 ? null : keep, bytesMax: values['checkpoint.max_bytes'] }
}

export type CheckpointRules = ReturnType<typeof checkpointRulesOf>
