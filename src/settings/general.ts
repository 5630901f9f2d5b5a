/** What holds for every command. */

import { oneOf, optional, text } from './kinds.js'
import type { SettingTable } from './setting.js'

export const generalSettings = {
  python: {
    ...optional(text('', 'the path or name of a Python'), 'a private one'),
    flag: '--python',
    placeholder: 'P',
    about: 'the interpreter in which cells run; it is used as it is, and nothing is written to it',
  },
  data_dir: {
    ...optional(text('', 'a path'), '`$XDG_DATA_HOME/savepoint`, else `~/.local/share/savepoint`'),
    flag: '--data-dir',
    placeholder: 'D',
    about: 'where token, history, checkpoints and the private Python are kept',
  },
  token: {
    ...optional(text('', 'any text; empty: no token is needed, on loopback only'), 'that in the data folder'),
    flag: '--token',
    placeholder: 'T',
    secret: true,
    about: 'the token that clients must show',
  },
  log_level: {
    ...oneOf('warn', ['debug', 'info', 'warn', 'error']),
    flag: '--log-level',
    placeholder: 'L',
    about: 'what is logged, on stderr',
  },
} as const satisfies SettingTable
