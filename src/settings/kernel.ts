/** What every kernel offers. */

import { onOff } from './kinds.js'
import type { SettingTable } from './setting.js'

export const kernelSettings = {
  'kernel.subshells': {
    ...onOff(false),
    about: 'whether kernels offer subshells to clients; they serve them in any case',
  },
} as const satisfies SettingTable
