/** The configuration file, in YAML; each mistake is told with its line. */

import { readFileSync } from 'node:fs'
import { isMap, isScalar, LineCounter, parseDocument, type Node, type Pair, type YAMLMap } from 'yaml'
import { SavepointError } from '../errors.js'
import {
  SETTINGS,
  wrongValue,
  type ConfiguredSpec,
  type FileSettings,
  type Setting,
  type SettingName,
} from '../settings.js'
import { SPEC_LIMITS, type SpecLimits } from './limits.js'
import { RETIRED_SETTINGS } from './retired.js'

const BYTES_MAX = 1_048_576
/** What a kernelspec may say: which of its keys holds what. */
const SPEC_KEYS: readonly string[] = ['python', 'display_name', 'env', 'preload', 'limits', 'sandbox']
/** As Jupyter's routes know names of kernelspecs. */
const SPEC_NAME = /^[\w.-]{1,100}$/

/** Throws USAGE for a file that cannot be read, is no YAML, or says what is no setting or not allowed. */
export function readSettingsFile(path: string): FileSettings {
  const lines = new LineCounter()
  const document = parseDocument(contentOf(path), { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const at = (offset: number): string => `${path} line ${lines.linePos(offset).line}`
  const [error] = document.errors
  if (error) throw usage(`${at(error.pos[0])}: ${error.message}`)
  const values = new Map<string, unknown>()
  const retired: string[] = []
  const kernelspecs: Record<string, ConfiguredSpec> = {}
  const root = document.contents
  if (root !== null && !isMap(root)) throw usage(`${path} must hold settings: \`server:\`, below it \`port: 8890\`.`)

  function take(map: YAMLMap, prefix: string): void {
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const key = String(isScalar(pair.key) ? pair.key.value : pair.key)
      const where = at(pair.key.range?.[0] ?? 0)
      const name = `${prefix}${key}`
      if (name === 'kernelspecs') takeSpecs(pair, where)
      else if (Object.hasOwn(SETTINGS, name)) takeValue(name as SettingName, pair.value, where)
      else if (Object.hasOwn(RETIRED_SETTINGS, name)) retired.push(name)
      else if (isGroup(name) && isMap(pair.value)) take(pair.value, `${name}.`)
      // A group with nothing below it says nothing.
      else if (!isGroup(name) || !isNothing(pair.value))
        throw usage(`${where}: there is no setting ${name}. See docs/configuration.md.`)
    }
  }

  function takeValue(name: SettingName, node: Node | null, where: string): void {
    const setting: Setting<unknown> = SETTINGS[name]
    const value: unknown = node?.toJS(document) ?? null
    // Nothing behind a key is as if it were not there.
    if (value === null) return
    const accepted = setting.accept(value)
    if (accepted === null) throw wrongValue(`${where}: ${name}`, value, setting)
    values.set(name, accepted)
  }

  function takeSpecs({ value }: Pair<Node, Node | null>, where: string): void {
    if (isNothing(value)) return
    if (!isMap(value)) throw usage(`${where}: kernelspecs must have a name each: \`kernelspecs:\`, below it \`NAME:\`.`)
    for (const pair of value.items as Pair<Node, Node | null>[]) {
      const name = String(isScalar(pair.key) ? pair.key.value : pair.key)
      const here = at(pair.key.range?.[0] ?? 0)
      if (!SPEC_NAME.test(name)) throw usage(`${here}: ${JSON.stringify(name)} is no name of a kernelspec.`)
      kernelspecs[name] = specOf(`${here}: kernelspecs.${name}`, pair.value?.toJS(document) ?? {})
    }
  }

  if (root !== null) take(root, '')
  return { path, values, retired, kernelspecs }
}

function isGroup(name: string): boolean {
  return Object.keys(SETTINGS).some((each) => each.startsWith(`${name}.`))
}

function isNothing(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null)
}

function specOf(where: string, given: unknown): ConfiguredSpec {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw usage(`${where} must have some of ${SPEC_KEYS.join(', ')} below it.`)
  }
  const spec = given as Readonly<Record<string, unknown>>
  for (const key of Object.keys(spec)) {
    if (!SPEC_KEYS.includes(key))
      throw usage(`${where}.${key}: there is no such key; there are ${SPEC_KEYS.join(', ')}.`)
  }
  const { python = null, display_name = null, env = {}, preload = [], limits = {}, sandbox = null } = spec
  if (python !== null && typeof python !== 'string') throw usage(`${where}.python must be the path of a Python.`)
  if (display_name !== null && typeof display_name !== 'string') throw usage(`${where}.display_name must be text.`)
  if (!Array.isArray(preload) || !preload.every((each) => typeof each === 'string')) {
    throw usage(`${where}.preload must be a list of names of modules.`)
  }
  if (typeof env !== 'object' || env === null || Array.isArray(env))
    throw usage(`${where}.env must be names and values.`)
  const variables = Object.entries(env).map(([key, value]): [string, string] => {
    if (typeof value === 'string' || typeof value === 'number') return [key, String(value)]
    throw usage(`${where}.env.${key} must be text.`)
  })
  if (sandbox !== null && typeof sandbox !== 'boolean') throw usage(`${where}.sandbox must be true or false.`)
  const own = limitsOf(`${where}.limits`, limits)
  return { python, display_name, preload, env: Object.fromEntries(variables), limits: own, sandbox }
}

/** Each is as the setting of its name. */
function limitsOf(where: string, given: unknown): SpecLimits {
  const known = Object.keys(SPEC_LIMITS)
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw usage(`${where} must have some of ${known.join(', ')} below it.`)
  const entries = Object.entries(given).map(([key, value]): [string, number] => {
    if (!known.includes(key)) throw usage(`${where}.${key}: there is no such limit; there are ${known.join(', ')}.`)
    const setting: Setting<unknown> = SETTINGS[`limits.${key}` as SettingName]
    const accepted = setting.accept(value)
    if (typeof accepted !== 'number') throw wrongValue(`${where}.${key}`, value, setting)
    return [key, accepted]
  })
  return Object.fromEntries(entries)
}

function contentOf(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= BYTES_MAX) return bytes.toString()
  } catch (error) {
    throw usage(`The configuration file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  throw usage(`${path} is larger than ${BYTES_MAX} bytes; it is no configuration file.`)
}

function usage(message: string): SavepointError {
  return new SavepointError('USAGE', message)
}
