/** The audit log. */

import { integer, onOff } from './kinds.js'
import type { SettingTable } from './setting.js'

export const auditSettings = {
  'audit.enabled': {
    ...onOff(false),
    about: 'whether the gateway notes in the data folder who did what to which kernel',
  },
  'audit.code': {
    ...onOff(false),
    about: 'whether the code of cells stands in it; otherwise only its SHA-256',
  },
  'audit.file_bytes_max': {
    ...integer(16_777_216, 4_096, 17_179_869_184),
    about: 'bytes of one file of it; then another one is begun',
  },
  'audit.files_max': { ...integer(10, 2, 10_000), about: 'files of it that are kept; the oldest go' },
} as const satisfies SettingTable
