/** What the program tells of itself. */

import { oneOf } from './kinds.js'
import type { SettingTable } from './setting.js'

export const logSettings = {
  'log.format': {
    ...oneOf('text', ['text', 'json']),
    flag: '--log-format',
    placeholder: 'F',
    about: 'lines of the log: for people, or one object of JSON each',
  },
} as const satisfies SettingTable
