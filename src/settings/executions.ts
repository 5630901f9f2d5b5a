/** Code that is run over HTTP. */

import { config } from '../config.js'
import { integer } from './kinds.js'
import { secondsMax, type SettingTable } from './setting.js'

export const executionSettings = {
  'executions.kept_max': {
    ...integer(100, 1, 100_000),
    about: 'executions of one kernel that have ended and can still be read',
  },
  'executions.kept_bytes_max': {
    ...integer(268_435_456, 1_048_576, 1_099_511_627_776),
    about: 'bytes that the ended executions of all kernels hold; the oldest go',
  },
  'executions.output_bytes_max': {
    ...integer(16_777_216, 1_024, 1_073_741_824),
    about: 'bytes of output that one execution keeps; what was cut is said in its warnings',
  },
  'execute.timeout_s': {
    ...integer(300, 1, config.cellTimeoutSMax),
    about: 'seconds after which code of `POST /api/execute` is interrupted that names no deadline',
  },
  'execute.idle_s': {
    ...integer(600, 1, secondsMax),
    about: 'how long the kernel of a session of `POST /api/execute` waits for its next run',
  },
  'execute.sessions_max': {
    ...integer(100, 1, 100_000),
    about: 'sessions of `POST /api/execute` at a time; the one that was not used for the longest time goes',
  },
} as const satisfies SettingTable
