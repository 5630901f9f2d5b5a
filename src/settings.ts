/**
 * What a user may set, each by an environment variable: the setting `a.b_c` is `SAVEPOINT_A_B_C`.
 *
 * One table holds them all; docs/limits.md lists them, and a test compares the two. Whoever needs a setting gets its
 * value from `main`, which reads them once, at the start. Flags and places are in `config`.
 */

import { config, type Environment } from './config.js'
import { SavepointError } from './errors.js'

/** One setting: what it is when nobody sets it, what may be set, and in which words a person is told. */
export interface Setting<T> {
  readonly initial: T
  readonly allowed: string
  /** null: not allowed. */
  readonly parse: (text: string) => T | null
}

export const SETTINGS = {
  'kernel.subshells': onOff(false),
  'output.merge_ms': integer(config.streams.intervalMs, 0, 1_000),
  'output.merge_bytes_max': integer(config.streams.bytesMax, 1_024, 16_777_216),
  'output.buffered_bytes_max': integer(config.kernel.bufferedBytesMax, 0, 536_870_912),
  'output.waiting_bytes_max': integer(config.outboxBytesMax, 65_536, 4_294_967_296),
} as const satisfies Readonly<Record<string, Setting<unknown>>>

export type SettingName = keyof typeof SETTINGS

export type SettingValues = { readonly [N in SettingName]: (typeof SETTINGS)[N]['initial'] }

/** Variables of ours that are no settings: they name places, or are between us and what we start. */
const OTHER_VARIABLES: readonly string[] = [
  'SAVEPOINT_PYTHON',
  'SAVEPOINT_DATA_DIR',
  'SAVEPOINT_LOG_LEVEL',
  'SAVEPOINT_TOKEN',
  'SAVEPOINT_CONFIG',
  'SAVEPOINT_ZYGOTE',
]

/**
 * All settings, and the names of variables that look like settings and are none. An empty variable counts as not set.
 * Throws USAGE for a value that is not allowed.
 */
export function readSettings(env: Environment = process.env): { values: SettingValues; unknown: readonly string[] } {
  const values = Object.fromEntries(
    Object.entries<Setting<unknown>>(SETTINGS).map(([name, setting]) => [name, valueOf(name, setting, env)]),
  ) as SettingValues
  const known = new Set([...OTHER_VARIABLES, ...Object.keys(SETTINGS).map(variableOf)])
  const unknown = Object.keys(env).filter((name) => name.startsWith('SAVEPOINT_') && !known.has(name))
  return { values, unknown: unknown.toSorted() }
}

/** `output.merge_ms` is `SAVEPOINT_OUTPUT_MERGE_MS`. */
export function variableOf(name: string): string {
  return `SAVEPOINT_${name.replaceAll('.', '_').toUpperCase()}`
}

function valueOf(name: string, setting: Setting<unknown>, env: Environment): unknown {
  const text = env[variableOf(name)]
  if (text === undefined || text === '') return setting.initial
  const value = setting.parse(text)
  if (value === null)
    throw new SavepointError('USAGE', `${variableOf(name)} is ${JSON.stringify(text)}; it must be ${setting.allowed}.`)
  return value
}

export function integer(initial: number, min: number, max: number): Setting<number> {
  return {
    initial,
    allowed: `a whole number from ${min} to ${max}`,
    parse: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
      return value >= min && value <= max ? value : null
    },
  }
}

export function onOff(initial: boolean): Setting<boolean> {
  return { initial, allowed: '`on` or `off`', parse: (text) => (text === 'on' ? true : text === 'off' ? false : null) }
}

export function oneOf<const T extends string>(initial: NoInfer<T>, values: readonly T[]): Setting<T> {
  return {
    initial,
    allowed: `one of ${values.join(', ')}`,
    parse: (text) => values.find((value) => value === text) ?? null,
  }
}
