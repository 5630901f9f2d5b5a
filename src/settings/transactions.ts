/** What transactions note besides variables. */

import { integer, onOff } from './kinds.js'
import type { SettingTable } from './setting.js'

export const transactionSettings = {
  'transactions.effects': {
    ...onOff(true),
    about: 'whether transactions note what is done outside of the process, and a rollback puts files back',
  },
  'transactions.file_bytes_max': {
    ...integer(104_857_600, 0, 1_099_511_627_776),
    about: 'bytes of the largest file that is copied before it is changed; a larger one is not put back',
  },
  'transactions.copied_bytes_max': {
    ...integer(1_073_741_824, 0, 1_099_511_627_776),
    about: 'bytes that the copies of one transaction may have',
  },
  'transactions.end_processes': {
    ...onOff(false),
    about: 'whether a rollback ends the processes that were started in the transaction',
  },
} as const satisfies SettingTable
