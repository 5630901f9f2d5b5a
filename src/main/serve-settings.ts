/** What `savepoint serve` was told: flags, environment and file, each by the table of settings. */

import type { LogLevel } from '../log.js'
import {
  readSettings,
  SETTINGS,
  type FlagValues,
  type ReadSettings,
  type Setting,
  type SettingName,
} from '../settings.js'
import { readSettingsFile } from '../settings/file.js'
import type { TlsFiles } from '../gateway/server.js'
import { parseFlags, usage } from './flags.js'

export interface ServeCommand extends ReadSettings {
  readonly logLevel: LogLevel
  readonly json: boolean
  /** Have the gateway of this data folder that runs hand its kernels over. */
  readonly takeover: boolean
  readonly tls: TlsFiles | null
}

/** Those that are no settings, or two flags of one. */
const OTHER_FLAGS = {
  '--config': 'value',
  '--guard': 'switch',
  '--no-guard': 'switch',
  '--json': 'switch',
  '--takeover': 'switch',
} as const

/** Throws USAGE. */
export function parseServeCommand(args: readonly string[], env: NodeJS.ProcessEnv = process.env): ServeCommand {
  const names = new Map(
    Object.entries<Setting<unknown>>(SETTINGS).flatMap(([name, { flag }]) =>
      flag === undefined ? [] : [[flag, name as SettingName] as const],
    ),
  )
  const isList = (name: SettingName): boolean => Array.isArray(SETTINGS[name].initial)
  const table = Object.fromEntries([...names].map(([flag, name]) => [flag, isList(name) ? 'values' : 'value'] as const))
  const { given } = parseFlags(args, { ...table, ...OTHER_FLAGS } as typeof table & typeof OTHER_FLAGS)
  const flags: Record<string, string | readonly string[]> = {}
  for (const [flag, name] of names) {
    const value = given[flag] as string | readonly string[] | undefined
    if (value !== undefined && (typeof value === 'string' || value.length > 0)) flags[name] = value
  }
  if (given['--guard'] === true && given['--no-guard'] === true) throw usage('Say --guard or --no-guard, not both.')
  if (given['--guard'] === true) flags['guard.enabled'] = 'on'
  if (given['--no-guard'] === true) flags['guard.enabled'] = 'off'
  const path = (given['--config'] as string | undefined) || env['SAVEPOINT_CONFIG']
  const read = readSettings(env, flags as FlagValues, path ? readSettingsFile(path) : null)
  return {
    ...read,
    logLevel: read.values.log_level,
    json: given['--json'] === true,
    takeover: given['--takeover'] === true,
    tls: tlsOf(read),
  }
}

function tlsOf({ values }: ReadSettings): TlsFiles | null {
  const { 'server.certfile': certfile, 'server.keyfile': keyfile, 'server.client_ca': clientCa } = values
  if (certfile === null && keyfile === null && clientCa === null) return null
  if (certfile === null || keyfile === null) {
    throw usage('TLS needs both a certificate (--certfile) and its key (--keyfile).')
  }
  return { certfile, keyfile, clientCa }
}
