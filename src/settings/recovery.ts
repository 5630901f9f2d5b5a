/** How kernels outlive the gateway's process. */

import { integer } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const recoverySettings = {
  'recovery.orphan_s': {
    ...integer(600, 0, secondsMax),
    about: 'how long the Python of kernels goes on without a gateway, after a crash of it; 0: it ends with the gateway',
  },
  'recovery.takeup_s': {
    ...integer(120, 1, 3_600),
    about: 'how long a new gateway waits for the Python that an earlier one left behind',
  },
  'recovery.spool_bytes_max': {
    ...integer(1_073_741_824, 0, 1_099_511_627_776),
    about: 'bytes that one worker keeps on disk while no gateway is there; then it waits',
  },
} as const satisfies SettingTable
