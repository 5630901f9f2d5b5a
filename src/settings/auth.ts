/** Who is let in. */

import { integer, optional, text } from './kinds.js'
import type { SettingTable } from './setting.js'

export const authSettings = {
  'auth.jwks': { ...optional(text('', 'a path'), 'none'), about: 'file of keys (JWKS) whose tokens are let in' },
  'auth.issuer': { ...optional(text('', 'any text'), 'none'), about: '`iss` that these tokens must have' },
  'auth.audience': { ...optional(text('', 'any text'), 'none'), about: '`aud` that these tokens must have' },
  'auth.requests_per_minute': {
    ...optional(integer(0, 1, 10_000_000), 'any number'),
    about: 'requests of one user a minute',
  },
} as const satisfies SettingTable
