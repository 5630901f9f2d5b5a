/** Kernels that see nothing of the machine but what they need; see docs/security.md. */

import { list, onOff } from './kinds.js'
import type { SettingTable } from './setting.js'

export const sandboxSettings = {
  'sandbox.enabled': {
    ...onOff(false),
    about: 'whether kernels run in a sandbox (bubblewrap); a kernelspec may say otherwise',
  },
  'sandbox.network': { ...onOff(true), about: 'whether there is a network in it' },
  'sandbox.readable': {
    ...list('paths'),
    about: 'files and folders that can be read in it besides the system and Python',
  },
  'sandbox.writable': {
    ...list('paths'),
    about: 'folders that can be written in it besides the working folder; kernels of all users share them',
  },
} as const satisfies SettingTable
