/** What people read about the settings, made from their table. */

import { SPEC_LIMITS } from './limits.js'
import { SETTINGS, variableOf, type Setting } from '../settings.js'

const all = Object.entries<Setting<unknown>>(SETTINGS)

/** Rows of docs/configuration.md: one table for each group. */
export function settingsReference(): string {
  const groups = new Map<string, string[]>()
  for (const [name, setting] of all) {
    const group = name.includes('.') ? (name.split('.')[0] ?? '') : 'general'
    const flag =
      setting.flag === undefined ? '' : `\`${setting.flag}${setting.placeholder ? ` ${setting.placeholder}` : ''}\``
    const cells = [`\`${name}\``, `\`${variableOf(name)}\``, flag, setting.shown, setting.allowed, setting.about]
    groups.set(group, [...(groups.get(group) ?? []), `| ${cells.join(' | ')} |`])
  }
  const head =
    '| name | variable | flag of `serve` | unless set | may be | what it sets |\n| --- | --- | --- | --- | --- | --- |'
  return [...groups].map(([group, rows]) => `### ${group}\n\n${head}\n${rows.join('\n')}\n`).join('\n')
}

/** Lines of `savepoint serve --help`. */
export function settingsHelp(): string {
  return all
    .filter(([, { flag }]) => flag !== undefined)
    .map(([, setting]) => {
      const flag = `${setting.flag}${setting.placeholder ? ` ${setting.placeholder}` : ''}`
      const plain = `${setting.about} (default: ${setting.shown || 'none'})`.replaceAll('`', '')
      return `  ${flag.padEnd(19)} ${plain}`
    })
    .join('\n')
}

/** JSON Schema of the configuration file, for editors. */
export function settingsSchema(): object {
  const properties: Record<string, Record<string, unknown>> = {}
  for (const [name, { schema, about }] of all) {
    const [group = '', key] = name.split('.')
    const described = { ...schema, description: about }
    if (key === undefined) properties[group] = described
    else {
      const inner = (properties[group]?.['properties'] ?? {}) as Record<string, unknown>
      properties[group] = { type: 'object', additionalProperties: false, properties: { ...inner, [key]: described } }
    }
  }
  const limits = Object.fromEntries(
    Object.keys(SPEC_LIMITS).map((name) => [name, SETTINGS[`limits.${name}` as keyof typeof SETTINGS].schema]),
  )
  const env = { type: 'object', additionalProperties: { type: 'string' } }
  const spec = {
    type: 'object',
    additionalProperties: false,
    properties: {
      python: { type: 'string' },
      display_name: { type: 'string' },
      env,
      preload: { type: 'array', items: { type: 'string' } },
      limits: { type: 'object', additionalProperties: false, properties: limits },
      sandbox: { type: 'boolean' },
    },
  }
  properties['kernelspecs'] = { type: 'object', additionalProperties: spec }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: false,
    properties,
  }
}
