/** The journals, in which kernels keep what happened and what clients may need again. */

import { integer } from './kinds.js'
import type { SettingTable } from './setting.js'

export const journalSettings = {
  'journal.bytes_max': {
    ...integer(134_217_728, 1_048_576, 1_099_511_627_776),
    about: 'bytes of the journal of one kernel; the oldest output goes',
  },
  'journal.total_bytes_max': {
    ...integer(4_294_967_296, 1_048_576, 1_099_511_627_776),
    about: 'bytes of the journals of all kernels of a gateway; the oldest output goes',
  },
} as const satisfies SettingTable
