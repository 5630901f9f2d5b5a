/**
 * What a user may set. One table holds it all, joined of one for each topic in `settings/`: the configuration file, the
 * environment, the flags of `serve`, its `--help` and docs/configuration.md are read by it or made of it.
 *
 * The setting `a.b_c` is the variable `SAVEPOINT_A_B_C`, and `b_c` below `a` in the file. A flag counts before the
 * environment, that before the file, and that before what stands here. Values are read once, at the start, and frozen;
 * whoever needs one gets it from `main`. A kernel's start is short: nothing here needs a library.
 */

import { config, type Environment } from './config.js'
import { SavepointError } from './errors.js'
import { auditSettings } from './settings/audit.js'
import { authSettings } from './settings/auth.js'
import { checkpointSettings } from './settings/checkpoints.js'
import { executionSettings } from './settings/executions.js'
import { generalSettings } from './settings/general.js'
import { guardSettings } from './settings/guard.js'
import { journalSettings } from './settings/journal.js'
import { kernelSettings } from './settings/kernel.js'
import { kernelsSettings } from './settings/kernels.js'
import { limitSettings, type SpecLimits } from './settings/limits.js'
import { logSettings } from './settings/log.js'
import { outputSettings } from './settings/output.js'
import { poolSettings } from './settings/pool.js'
import { recoverySettings } from './settings/recovery.js'
import { sandboxSettings } from './settings/sandbox.js'
import { RETIRED_SETTINGS } from './settings/retired.js'
import { serverSettings } from './settings/server.js'
import { tracingSettings } from './settings/tracing.js'
import { transactionSettings } from './settings/transactions.js'
import { websocketSettings } from './settings/websocket.js'
import type { Setting, SettingTable } from './settings/setting.js'

export type { Setting } from './settings/setting.js'

export const SETTINGS = {
  ...generalSettings,
  ...logSettings,
  ...auditSettings,
  ...tracingSettings,
  ...serverSettings,
  ...websocketSettings,
  ...authSettings,
  ...kernelsSettings,
  ...limitSettings,
  ...sandboxSettings,
  ...poolSettings,
  ...executionSettings,
  ...guardSettings,
  ...checkpointSettings,
  ...kernelSettings,
  ...transactionSettings,
  ...outputSettings,
  ...journalSettings,
  ...recoverySettings,
} as const satisfies SettingTable

export type SettingName = keyof typeof SETTINGS

export type SettingValues = { readonly [N in SettingName]: (typeof SETTINGS)[N]['initial'] }

/** A kernelspec of the configuration file. */
export interface ConfiguredSpec {
  readonly python: string | null
  readonly display_name: string | null
  readonly env: Readonly<Record<string, string>>
  readonly preload: readonly string[]
  /** Limits of its own; of the others those of all kernels hold. */
  readonly limits?: SpecLimits
  /** Whether its kernels run in a sandbox; null: as all. */
  readonly sandbox?: boolean | null
}

/** What one kernel may hold, and how long it waits. */
export function kernelLimitsOf(values: SettingValues) {
  return {
    ...config.kernel,
    bufferedBytesMax: values['output.buffered_bytes_max'],
    guardMomentsMax: values['guard.moments_max'],
    snapshotBytesMax: values['guard.bytes_max'],
    interruptGraceMs: values['guard.interrupt_grace_s'] * 1_000,
    restoreMs: values['checkpoint.restore_s'] * 1_000,
    cellS: values['limits.cell_s'],
  }
}

/** What a configuration file says, checked. */
export interface FileSettings {
  readonly path: string
  readonly values: ReadonlyMap<string, unknown>
  /** Names in it that set nothing any more. */
  readonly retired?: readonly string[]
  readonly kernelspecs: Readonly<Record<string, ConfiguredSpec>>
}

/** What the command line gave. */
export type FlagValues = Readonly<Partial<Record<SettingName, string | readonly string[]>>>

export interface ReadSettings {
  readonly values: SettingValues
  /** Variables that look like settings and are none. */
  readonly unknown: readonly string[]
  /** Settings that set nothing any more, with what there is in their place. */
  readonly retired: Readonly<Record<string, string>>
  readonly kernelspecs: Readonly<Record<string, ConfiguredSpec>>
}

/** Variables of ours that are no settings: where the file is, and what is between us and what we start. */
const OTHER_VARIABLES: readonly string[] = ['SAVEPOINT_CONFIG', 'SAVEPOINT_ZYGOTE']

/**
 * All settings, and the names of variables that look like settings and are none. An empty variable counts as not set.
 * Throws USAGE for a value that is not allowed.
 */
export function readSettings(
  env: Environment = process.env,
  flags: FlagValues = {},
  file: FileSettings | null = null,
): ReadSettings {
  const entries = Object.entries<Setting<unknown>>(SETTINGS)
  const values = Object.fromEntries(
    entries.map(([name, setting]) => [name, valueOf(name as SettingName, setting, env, flags, file)]),
  ) as SettingValues
  const gone = Object.keys(RETIRED_SETTINGS).filter((name) => env[variableOf(name)] || file?.retired?.includes(name))
  const retired = Object.fromEntries(gone.map((name) => [name, RETIRED_SETTINGS[name] ?? '']))
  const names = [...Object.keys(SETTINGS), ...Object.keys(RETIRED_SETTINGS)]
  const known = new Set([...OTHER_VARIABLES, ...names.map(variableOf)])
  const unknown = Object.keys(env).filter((name) => name.startsWith('SAVEPOINT_') && !known.has(name))
  return { values: Object.freeze(values), unknown: unknown.toSorted(), retired, kernelspecs: file?.kernelspecs ?? {} }
}

/** `output.merge_ms` is `SAVEPOINT_OUTPUT_MERGE_MS`. */
export function variableOf(name: string): string {
  return `SAVEPOINT_${name.replaceAll('.', '_').toUpperCase()}`
}

function valueOf(
  name: SettingName,
  setting: Setting<unknown>,
  env: Environment,
  flags: FlagValues,
  file: FileSettings | null,
): unknown {
  const flag = flags[name]
  if (flag !== undefined) return parsed(setting, setting.flag ?? name, typeof flag === 'string' ? flag : flag.join(','))
  const variable = env[variableOf(name)]
  if (variable) return parsed(setting, variableOf(name), variable)
  return file?.values.has(name) ? file.values.get(name) : setting.initial
}

function parsed(setting: Setting<unknown>, where: string, value: string): unknown {
  const found = setting.parse(value)
  if (found === null) throw wrongValue(where, value, setting)
  return found
}

/** `where`: a flag, a variable, or a place in a file. */
export function wrongValue(where: string, value: unknown, { allowed, secret }: Setting<unknown>): SavepointError {
  const shown = secret ? 'not allowed' : (JSON.stringify(value) ?? 'nothing')
  return new SavepointError('USAGE', `${where} is ${shown}; it must be ${allowed}.`)
}
